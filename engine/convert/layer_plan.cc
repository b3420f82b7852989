#include "engine/convert/layer_plan.h"

#include <cstring>
#include <fstream>
#include <sstream>
#include <string_view>

#include "engine/convert/durable_file.h"

namespace engine::convert {
namespace {

constexpr std::string_view kMagic = "moeval layer plan 2\n";

uint64_t fnv1a(std::string_view bytes) {
  uint64_t h = 0xcbf29ce484222325u;
  for (const char c : bytes) h = (h ^ static_cast<unsigned char>(c)) * 0x100000001b3u;
  return h;
}

template <class T>
void put(std::string& out, const T& value) {
  out.append(reinterpret_cast<const char*>(&value), sizeof value);
}

template <class T>
void put(std::string& out, const std::vector<T>& values) {
  put(out, uint64_t{values.size()});
  out.append(reinterpret_cast<const char*>(values.data()), values.size() * sizeof(T));
}

template <class T>
bool take(std::string_view& in, T& value) {
  if (in.size() < sizeof value) return false;
  std::memcpy(&value, in.data(), sizeof value);
  in.remove_prefix(sizeof value);
  return true;
}

template <class T>
bool take(std::string_view& in, std::vector<T>& values) {
  uint64_t n = 0;
  if (!take(in, n) || n > in.size() / sizeof(T)) return false;
  values.resize(n);
  if (n == 0) return true;
  std::memcpy(values.data(), in.data(), n * sizeof(T));
  in.remove_prefix(n * sizeof(T));
  return true;
}

}  // namespace

void save_plan(const std::filesystem::path& path, const LayerPlan& p) {
  std::string out(kMagic);
  put(out, p.order);
  put(out, p.representatives);
  put(out, p.router);
  put(out, p.bias);
  put(out, p.mix);
  put(out, p.activation_scale);
  put(out, p.means);
  put(out, p.shared_importance);
  put(out, p.router_explained);
  put(out, fnv1a(out));
  DurableFile file(path);
  file.write(out.data(), out.size());
  file.commit();
}

std::optional<LayerPlan> load_plan(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) return std::nullopt;
  std::ostringstream bytes;
  bytes << file.rdbuf();
  const std::string text = std::move(bytes).str();
  std::string_view in = text;
  if (!in.starts_with(kMagic) || in.size() < kMagic.size() + sizeof(uint64_t)) return std::nullopt;
  uint64_t checksum = 0;
  std::string_view tail = in.substr(in.size() - sizeof checksum);
  take(tail, checksum);
  in.remove_suffix(sizeof checksum);
  if (fnv1a(in) != checksum) return std::nullopt;
  in.remove_prefix(kMagic.size());
  LayerPlan p;
  if (!take(in, p.order) || !take(in, p.representatives) || !take(in, p.router) ||
      !take(in, p.bias) || !take(in, p.mix) || !take(in, p.activation_scale) ||
      !take(in, p.means) || !take(in, p.shared_importance) || !take(in, p.router_explained) ||
      !in.empty()) {
    return std::nullopt;
  }
  return p;
}

}  // namespace engine::convert
