#include "results/side_file.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <nlohmann/json.hpp>

#include "results/row_columns.h"

namespace results {
namespace {

using nlohmann::json;

struct JsonWriter {
  json& object;
  template <class T>
  void operator()(const char* name, const T& v) {
    object[name] = v;
  }
  template <class T>
  void operator()(const char* name, const std::optional<T>& v) {
    if (v) (*this)(name, *v);
  }
  void operator()(const char* name, const FlopsByPart& v) {
    for (const auto& c : kFlopsColumns) object[std::string(name) + c.suffix] = v.*c.value;
  }
};

template <class Row>
json to_json(const Row& row) {
  json j = json::object();
  visit_columns(row, JsonWriter{j});
  return j;
}

std::string line_of(const std::string& run_uuid, const AttemptBundle& b) {
  json j{{"run_uuid", run_uuid}, {"ordinal", b.attempt.ordinal}, {"attempt", to_json(b.attempt)}};
  j["query"] = {{"prefix_text", b.query.prefix_text}, {"prompt_text", b.query.prompt_text}};
  if (b.output_text) j["output_text"] = *b.output_text;
  for (const OptionRow& o : b.options)
    j["options"].push_back({{"logprob_nats", o.logprob_nats ? json(*o.logprob_nats) : json()},
                            {"n_tokens", o.n_tokens}});
  for (const LayerRow& l : b.layers)
    j["layers"].push_back(
        {{"layer", l.layer}, {"tokens", l.tokens}, {"k_sum", l.k_sum}, {"k_max", l.k_max}});
  if (b.experts)
    j["experts"] = {{"n_layers", b.experts->n_layers},
                    {"n_experts", b.experts->n_experts},
                    {"tokens", b.experts->tokens}};
  for (const VerdictRow& v : b.verdicts) j["verdicts"].push_back(to_json(v));
  for (const PrefixRow& p : b.prefixes) j["prefixes"].push_back(to_json(p));
  return j.dump(-1, ' ', false, json::error_handler_t::replace) + "\n";
}

}  // namespace

bool append_to_side_file(const std::filesystem::path& path, const std::string& run_uuid,
                         const AttemptBundle& bundle) {
  const std::string line = line_of(run_uuid, bundle);
  const int fd = open(path.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
  if (fd < 0) return false;
  size_t written = 0;
  while (written < line.size()) {
    const ssize_t n = write(fd, line.data() + written, line.size() - written);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) break;
    written += static_cast<size_t>(n);
  }
  const bool synced = fsync(fd) == 0;
  return close(fd) == 0 && synced && written == line.size();
}

}  // namespace results
