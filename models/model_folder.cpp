#include "models/model_folder.h"

#include <algorithm>
#include <vector>

#include "models/strict_json.h"
#include "runtime/error.h"
#include "runtime/files.h"

namespace limewash::models {

namespace {

/// The hash in refs/main; empty when there is no such file.
std::string main_revision(const std::filesystem::path& folder) {
  const auto path = folder / "refs/main";
  if (!std::filesystem::exists(path)) return "";
  std::string revision = read_file(path, /*max_bytes=*/4096);
  revision.erase(revision.find_last_not_of(" \r\n") + 1);
  const bool is_plain = std::all_of(revision.begin(), revision.end(), [](char letter) {
    return (letter >= '0' && letter <= '9') || (letter >= 'a' && letter <= 'f');
  });
  if (revision.empty() || !is_plain) {
    throw InputError(path.string() + ": '" + printable(revision) +
                     "' is no revision: expected hexadecimal digits");
  }
  return revision;
}

}  // namespace

std::filesystem::path resolve_model_folder(const std::filesystem::path& path) {
  const auto snapshots = path / "snapshots";
  if (!std::filesystem::is_directory(snapshots)) return path;
  const std::string revision = main_revision(path);
  if (!revision.empty()) {
    if (std::filesystem::is_directory(snapshots / revision)) return snapshots / revision;
    throw InputError(path.string() + ": refs/main names the snapshot " + revision +
                     ", which is not there (an unfinished download?)");
  }
  std::vector<std::string> names;
  for (const auto& entry : std::filesystem::directory_iterator(snapshots)) {
    if (entry.is_directory()) names.push_back(entry.path().filename().string());
  }
  if (names.size() == 1) return snapshots / names.front();
  if (names.empty()) throw InputError(snapshots.string() + ": there is no snapshot in it");
  std::sort(names.begin(), names.end());
  std::string listed;
  for (const auto& name : names) listed += (listed.empty() ? "" : ", ") + printable(name);
  throw InputError(path.string() +
                   ": several snapshots and no refs/main: give the folder of one: " + listed);
}

std::filesystem::path folder_of_part(const std::filesystem::path& model, const std::string& part) {
  if (std::filesystem::exists(model / part / "config.json")) return model / part;
  if (std::filesystem::exists(model / "config.json")) return model;
  throw InputError(model.string() + ": expected " + part +
                   "/config.json (a diffusers folder), or " +
                   "config.json (the folder of the one network)");
}

}  // namespace limewash::models
