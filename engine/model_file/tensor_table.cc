#include "engine/model_file/tensor_table.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <cassert>

#include "engine/model_file_error.h"

namespace engine {
namespace {

bool is_plain(kernels::Dtype t) { return kernels::block_elements(t) == 1; }

// [1, n] is stored as [n] too: GGUF keeps the gate of a shared expert so.
bool same_elements(const std::vector<int64_t>& stored, const std::vector<int64_t>& want) {
  if (stored == want) return true;
  return stored.size() == 1 && want.size() == 2 && want.front() == 1 &&
         stored.front() == want.back();
}

std::string names_of(const std::vector<StoredForm>& forms) {
  std::string names;
  for (const StoredForm& f : forms)
    names += fmt::format("{}'{}'", names.empty() ? "" : " or ", f.name);
  return names;
}

}  // namespace

TensorTable::TensorTable(const ModelConfig& c, NameStyle style, const std::string& file,
                         const Lookup& lookup) {
  for_each_wanted_tensor(c, style,
                         [&](const WantedTensor& want) { add(want, style, file, lookup); });
}

void TensorTable::add(const WantedTensor& want, NameStyle style, const std::string& file,
                      const Lookup& lookup) {
  const StoredForm* form = nullptr;
  std::optional<Stored> found;
  for (const StoredForm& f : want.forms) {
    if ((found = lookup(f.name))) {
      form = &f;
      break;
    }
  }
  if (!found) {
    throw ModelFileError(fmt::format("{}: tensor {} is missing, want shape [{}]", file,
                                     names_of(want.forms),
                                     fmt::join(want.forms.front().shape, ", ")));
  }
  const std::string& where = found->source->name();
  if (!same_elements(*found->shape, form->shape)) {
    throw ModelFileError(fmt::format("{}: tensor '{}' has shape [{}], want [{}]", where, form->name,
                                     fmt::join(*found->shape, ", "), fmt::join(form->shape, ", ")));
  }
  const bool vector = want.shape.size() == 1;
  if (!found->dtype || (vector && !is_plain(*found->dtype))) {
    throw ModelFileError(fmt::format(
        "{}: tensor '{}' has type {}, want {}", where, form->name, found->stored_type,
        vector || style == NameStyle::hugging_face ? "F32, F16 or BF16" : "a type that is read"));
  }
  stored_.try_emplace(form->name, Place{found->source, found->offset});
  tensors_.push_back({want.canonical, form->name, *found->dtype, want.shape, form->first_row});
}

void TensorTable::read_rows(const TensorInfo& t, int64_t first, int64_t n, void* dst) const {
  const auto place = stored_.find(t.stored_name);
  assert(place != stored_.end());
  [[maybe_unused]] const int64_t rows = t.shape.size() == 1 ? 1 : t.shape.front();
  assert(first >= 0 && n >= 0 && first <= rows && n <= rows - first);
  const auto row = static_cast<uint64_t>(kernels::row_bytes(t.dtype, t.shape.back()));
  place->second.source->read(
      place->second.offset + static_cast<uint64_t>(t.first_row + first) * row, dst,
      static_cast<uint64_t>(n) * row);
}

}  // namespace engine
