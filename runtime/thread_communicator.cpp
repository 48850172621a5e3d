#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <mutex>
#include <stdexcept>
#include <utility>

#include <ATen/core/Tensor.h>
#include <c10/util/Exception.h>

#include "runtime/communicator.h"
#include "runtime/communicator_checks.h"
#include "runtime/rank_order_reduction.h"

namespace limewash {

namespace {

// What the ranks share. A collective is: everybody posts, waits, reads what the others posted,
// waits.
class Meeting {
 public:
  explicit Meeting(int size) : size_(size), posted_(static_cast<size_t>(size)) {}

  void wait() {
    std::unique_lock lock(mutex_);
    const uint64_t generation = generation_;
    if (++arrived_ == size_) {
      arrived_ = 0;
      ++generation_;
      everybody_.notify_all();
      return;
    }
    // A rank that threw never comes; without a limit the others would hang a test for ever.
    const bool complete = everybody_.wait_for(
        lock, std::chrono::minutes(2), [&] { return generation_ != generation; });
    if (!complete) throw std::runtime_error("a rank did not join a collective within 2 minutes");
  }

  int size() const {
    return size_;
  }
  const void*& posted(int rank) {
    return posted_[static_cast<size_t>(rank)];
  }

 private:
  const int size_;
  std::vector<const void*> posted_;
  std::mutex mutex_;
  std::condition_variable everybody_;
  int arrived_ = 0;
  uint64_t generation_ = 0;
};

class ThreadCommunicator final : public Communicator {
 public:
  ThreadCommunicator(std::shared_ptr<Meeting> meeting, int rank)
      : meeting_(std::move(meeting)), rank_(rank) {}

  int rank() const override {
    return rank_;
  }
  int size() const override {
    return meeting_->size();
  }

  void all_reduce_sum(at::Tensor& tensor) override {
    check_reducible(tensor);
    TORCH_CHECK(tensor.device().is_cpu(), "all_reduce_sum: expected a CPU tensor");
    // Tensors are compared on every rank, so all of them throw or none.
    const auto tensors = exchange<at::Tensor>(tensor);
    for (const at::Tensor* other : tensors) {
      if (other->scalar_type() == tensor.scalar_type() && other->numel() == tensor.numel())
        continue;
      meeting_->wait();
      TORCH_CHECK(false, "all_reduce_sum: ranks disagree about size or type");
    }
    std::vector<const void*> parts;
    for (const at::Tensor* one : tensors) parts.push_back(one->const_data_ptr());
    const at::Tensor total = tensor.clone();
    rank_order_reduction(Reduction::kSum, tensor.scalar_type(), "all_reduce_sum")(
        parts, total.data_ptr(), tensor.numel());
    meeting_->wait();
    tensor.copy_(total);
  }

  void broadcast(std::string& bytes, int root) override {
    check_root(root, size());
    const auto all = exchange<std::string>(bytes);
    std::string received = *all[static_cast<size_t>(root)];
    meeting_->wait();
    bytes = std::move(received);
  }

  std::vector<std::string> all_gather(const std::string& bytes) override {
    std::vector<std::string> gathered;
    for (const std::string* one : exchange<std::string>(bytes)) gathered.push_back(*one);
    meeting_->wait();
    return gathered;
  }

  void barrier() override {
    meeting_->wait();
  }
  void quiet_barrier(const std::function<void()>& meanwhile) override {
    meanwhile();
    meeting_->wait();
  }

  bool agree_any(bool flag) override {
    bool any = false;
    for (const bool* one : exchange<bool>(flag)) any = any || *one;
    meeting_->wait();
    return any;
  }

  std::unique_ptr<Communicator> split(int color) override {
    const std::vector<int> colors = values_of(color);
    const auto of_color = [&](auto end) { return std::count(colors.begin(), end, color); };
    const auto first = std::find(colors.begin(), colors.end(), color) - colors.begin();
    // The first of a colour makes the place where all of it meet.
    std::shared_ptr<Meeting> made;
    if (first == rank_) made = std::make_shared<Meeting>(static_cast<int>(of_color(colors.end())));
    const auto all = exchange<std::shared_ptr<Meeting>>(made);
    auto meeting = *all[static_cast<size_t>(first)];
    meeting_->wait();
    return std::make_unique<ThreadCommunicator>(std::move(meeting),
                                                static_cast<int>(of_color(colors.begin() + rank_)));
  }

 private:
  std::vector<int> values_of(int mine) {
    std::vector<int> values;
    for (const int* one : exchange<int>(mine)) values.push_back(*one);
    meeting_->wait();
    return values;
  }

  // Everybody's value, by rank; valid until the next wait().
  template <class T>
  std::vector<const T*> exchange(const T& mine) {
    meeting_->posted(rank_) = &mine;
    meeting_->wait();
    std::vector<const T*> all;
    for (int r = 0; r < size(); ++r) all.push_back(static_cast<const T*>(meeting_->posted(r)));
    return all;
  }

  std::shared_ptr<Meeting> meeting_;
  int rank_;
};

}  // namespace

std::vector<std::unique_ptr<Communicator>> make_thread_communicators(int size) {
  TORCH_CHECK(size > 0, "make_thread_communicators: expected at least one rank, got ", size);
  auto meeting = std::make_shared<Meeting>(size);
  std::vector<std::unique_ptr<Communicator>> ranks;
  for (int rank = 0; rank < size; ++rank) {
    ranks.push_back(std::make_unique<ThreadCommunicator>(meeting, rank));
  }
  return ranks;
}

}  // namespace limewash
