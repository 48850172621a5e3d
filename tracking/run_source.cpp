#include "tracking/run_source.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <fstream>
#include <pwd.h>
#include <string_view>
#include <unistd.h>

#include "runtime/captured_process.h"

namespace limewash::tracking {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kReference = "ref: ";
constexpr std::string_view kBranches = "refs/heads/";
constexpr double kGitSeconds = 2;

std::string first_line(const fs::path& path) {
  std::ifstream file(path);
  std::string line;
  std::getline(file, line);
  while (!line.empty() && std::isspace(static_cast<unsigned char>(line.back())) != 0)
    line.pop_back();
  return line;
}

bool is_commit(const std::string& text) {
  return (text.size() == 40 || text.size() == 64) &&
         std::all_of(
             text.begin(), text.end(), [](unsigned char c) { return std::isxdigit(c) != 0; });
}

/// The .git folder of the work tree around `folder`; empty outside of one.
fs::path git_folder(const fs::path& folder) {
  std::error_code error;  // says no more than that something is not there
  for (fs::path place = fs::absolute(folder, error);; place = place.parent_path()) {
    const fs::path git = place / ".git";
    if (fs::is_directory(git, error)) return git;
    if (fs::is_regular_file(git, error)) {
      // A linked work tree or a submodule.
      const std::string line = first_line(git);
      if (line.starts_with("gitdir: ")) return place / line.substr(8);
    }
    if (place == place.parent_path()) break;
  }
  return {};
}

std::string packed_reference(const fs::path& git, const std::string& name) {
  std::ifstream file(git / "packed-refs");
  for (std::string line; std::getline(file, line);) {
    const size_t space = line.find(' ');
    if (space != std::string::npos && line.substr(space + 1) == name) return line.substr(0, space);
  }
  return "";
}

std::string commit_of(const fs::path& git, const fs::path& shared, const std::string& name) {
  for (const fs::path& place : {git, shared}) {
    if (const std::string commit = first_line(place / name); is_commit(commit)) return commit;
    if (const std::string commit = packed_reference(place, name); is_commit(commit)) return commit;
  }
  return "";
}

/// url of [remote "origin"] in git's configuration.
std::string origin_url(const fs::path& config) {
  std::ifstream file(config);
  bool inside = false;
  for (std::string line; std::getline(file, line);) {
    const size_t begin = line.find_first_not_of(" \t");
    if (begin == std::string::npos) continue;
    line.erase(0, begin);
    if (line.front() == '[') {
      inside = line.starts_with("[remote \"origin\"]");
    } else if (inside && line.starts_with("url")) {
      const size_t value = line.find_first_not_of(" \t", line.find('=') + 1);
      if (line.find('=') != std::string::npos && value != std::string::npos) {
        return line.substr(value);
      }
    }
  }
  return "";
}

std::string without_credentials(std::string url) {
  const size_t scheme = url.find("://");
  if (scheme == std::string::npos) return url;  // a path, or git@host:path
  const size_t begin = scheme + 3;
  const size_t end = std::min(url.find('/', begin), url.size());
  const size_t at = url.rfind('@', end);
  if (at != std::string::npos && at >= begin) url.erase(begin, at + 1 - begin);
  return url;
}

std::optional<bool> differs_from_commit(const fs::path& folder) {
  const CapturedProcess git =
      run_captured({"git", "-C", folder.string(), "status", "--porcelain", "--untracked-files=no"},
                   {"GIT_OPTIONAL_LOCKS=0"},
                   kGitSeconds);
  if (git.timed_out || git.status != 0) return std::nullopt;
  return !git.output.empty();
}

}  // namespace

std::string user_name() {
  struct passwd entry {};
  struct passwd* found = nullptr;
  std::array<char, 4096> buffer{};
  if (getpwuid_r(getuid(), &entry, buffer.data(), buffer.size(), &found) == 0 && found != nullptr) {
    return found->pw_name;
  }
  return std::to_string(getuid());
}

std::string program_name() {
  std::error_code error;
  const fs::path program = fs::read_symlink("/proc/self/exe", error);
  return error ? "limewash" : program.filename().string();
}

GitCheckout read_git_checkout(const fs::path& folder) {
  GitCheckout checkout;
  const fs::path git = git_folder(folder);
  if (git.empty()) return checkout;
  const std::string common = first_line(git / "commondir");
  const fs::path shared = common.empty() ? git : git / common;
  const std::string head = first_line(git / "HEAD");
  if (is_commit(head)) {
    checkout.commit = head;
  } else if (head.starts_with(kReference) && head.find("..") == std::string::npos) {
    const std::string name = head.substr(kReference.size());
    checkout.commit = commit_of(git, shared, name);
    if (name.starts_with(kBranches)) checkout.branch = name.substr(kBranches.size());
  }
  checkout.repository = without_credentials(origin_url(shared / "config"));
  if (!checkout.commit.empty()) checkout.dirty = differs_from_commit(folder);
  return checkout;
}

}  // namespace limewash::tracking
