// Owns the copy of a checkpoint with other routers in it.
#pragma once

#include <filesystem>

#include "engine/checkpoint.h"
#include "engine/router_exploration.h"

namespace engine {

// Throws ModelFileError where write_with_routers() cannot write the routers of this checkpoint.
void check_routers_writable(const Checkpoint&);

// Copies the files of a Hugging Face folder to `folder`, which must not exist yet, with what was
// learned added to every layer's router, rounded to the type it is stored in. It has its name only
// when it is whole. Throws ModelFileError: another kind of checkpoint, a router that is not stored
// as a tensor of its own in F32, F16 or BF16, or learned values that it cannot hold;
// std::filesystem::filesystem_error and std::system_error.
void write_with_routers(const Checkpoint&, const RouterExploration&,
                        const std::filesystem::path& folder);

}  // namespace engine
