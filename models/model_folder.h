#pragma once
// Finding a diffusers folder, and a network inside of it.

#include <filesystem>
#include <string>

namespace limewash::models {

/// A folder of the hub's cache (models--ORG--NAME, with refs/ and snapshots/) -> the snapshot that
/// refs/main names, else the only one; any other path as it is. Throws InputError naming the
/// snapshots when none is to be preferred.
std::filesystem::path resolve_model_folder(const std::filesystem::path& path);

/// `model`/`part` when it has a config.json, else `model` itself when that is the folder of one
/// network. Throws InputError naming both.
std::filesystem::path folder_of_part(const std::filesystem::path& model, const std::string& part);

}  // namespace limewash::models
