#include "tracking/run_source.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <fstream>
#include <pwd.h>
#include <unistd.h>

namespace limewash::tracking {
namespace {

namespace fs = std::filesystem;

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

std::string git_commit(const fs::path& folder) {
  const fs::path git = git_folder(folder);
  if (git.empty()) return "";
  const std::string head = first_line(git / "HEAD");
  if (is_commit(head)) return head;
  if (!head.starts_with("ref: ")) return "";
  const std::string name = head.substr(5);
  if (name.find("..") != std::string::npos) return "";
  const std::string common = first_line(git / "commondir");
  for (const fs::path& place : {git, common.empty() ? git : git / common}) {
    if (const std::string commit = first_line(place / name); is_commit(commit)) return commit;
    if (const std::string commit = packed_reference(place, name); is_commit(commit)) return commit;
  }
  return "";
}

}  // namespace limewash::tracking
