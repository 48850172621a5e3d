#pragma once
// Only one process ships a run's journals at a time.

#include <filesystem>
#include <string>

namespace limewash::tracking {

/// An flock on runs/NAME/.tracker.lock; it ends with the process, whatever
/// kills it.
class Lease {
 public:
  explicit Lease(std::filesystem::path folder);
  ~Lease();
  Lease(const Lease&) = delete;
  Lease& operator=(const Lease&) = delete;
  /// Whether the lease is ours now. Throws InputError when the file cannot be
  /// made.
  bool try_acquire();
  /// The process that holds it, for messages; "" when unknown.
  std::string holder() const;

 private:
  std::filesystem::path path_;
  int descriptor_ = -1;
};

}  // namespace limewash::tracking
