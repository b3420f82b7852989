#include "results/attempt_writer.h"

#include <fmt/format.h>

#include "results/checksum.h"
#include "results/row_columns.h"
#include "results/store_file.h"

namespace results {
std::string attempt_checksum(const AttemptContext& context, const AttemptRow& row,
                             const std::vector<OptionRow>& options,
                             const std::vector<LayerRow>& layers,
                             const std::optional<ExpertCounts>& experts) {
  Canonical c("attempt");
  c.field("run", context.run_uuid).field("planned", context.identity_sha256);
  c.field("ordinal", row.ordinal).field("try_ix", context.try_ix);
  c.field("prompt_sha256", context.prompt_sha256).field("output_sha256", context.output_sha256);
  visit_columns(row, ColumnHasher{c});
  c.field("options", static_cast<int64_t>(options.size()));
  for (const OptionRow& o : options)
    c.field("logprob_nats", o.logprob_nats).field("n_tokens", o.n_tokens).field("text", o.text);
  c.field("layers", static_cast<int64_t>(layers.size()));
  for (const LayerRow& l : layers) {
    c.field("layer", l.layer).field("tokens", l.tokens);
    c.field("k_sum", l.k_sum).field("k_max", l.k_max);
    // Added by migration 2: rows of before keep their checksum.
    if (l.k_min) c.field("k_min", *l.k_min);
    if (l.margin_mean) c.field("margin_mean", *l.margin_mean);
    if (l.margin_min) c.field("margin_min", *l.margin_min);
  }
  if (experts) {
    c.field("n_layers", experts->n_layers).field("n_experts", experts->n_experts);
    c.field("expert_tokens", pack_counts(experts->tokens));
  }
  return c.sha256();
}

std::string verdict_checksum(const std::string& attempt_row_sha256, const VerdictRow& v,
                             const std::string& scored_at) {
  Canonical c("verdict");
  c.field("attempt", attempt_row_sha256).field("scored_at", scored_at);
  visit_columns(v, ColumnHasher{c});
  return c.sha256();
}

std::string prefix_checksum(const std::string& run_uuid, const std::string& policy_row_sha256,
                            int64_t compute_ix, const PrefixRow& row) {
  Canonical c("prefix");
  c.field("run", run_uuid).field("policy", policy_row_sha256).field("compute_ix", compute_ix);
  visit_columns(row, ColumnHasher{c});
  return c.sha256();
}

std::string pack_counts(const std::vector<uint32_t>& counts) {
  std::string packed;
  packed.reserve(counts.size());
  for (uint32_t v : counts) {
    for (; v >= 0x80; v >>= 7) packed += static_cast<char>(v | 0x80);
    packed += static_cast<char>(v);
  }
  return packed;
}

bool unpack_counts(std::string_view packed, size_t n, std::vector<uint32_t>& counts) {
  counts.clear();
  size_t at = 0;
  while (at < packed.size()) {
    if (counts.size() == n) return false;
    uint64_t v = 0;
    for (int shift = 0;; shift += 7) {
      if (at == packed.size() || shift > 28) return false;
      const auto byte = static_cast<unsigned char>(packed[at++]);
      v |= static_cast<uint64_t>(byte & 0x7f) << shift;
      if (byte < 0x80) break;
    }
    if (v > UINT32_MAX) return false;
    counts.push_back(static_cast<uint32_t>(v));
  }
  return counts.size() == n;
}

VerdictWriter::VerdictWriter(Database& db)
    : statement_(db.prepare(
          "INSERT OR REPLACE" +
          insert_sql<VerdictRow>("verdict", "attempt_id, row_sha256, scored_at").substr(6))) {}

void VerdictWriter::put(int64_t attempt_id, const std::string& attempt_row_sha256,
                        const VerdictRow& v) {
  const std::string now = utc_now();
  statement_.bind(1, attempt_id).bind(2, verdict_checksum(attempt_row_sha256, v, now));
  statement_.bind(3, now);
  visit_columns(v, ColumnBinder{statement_, 4});
  statement_.run();
}

AttemptWriter::AttemptWriter(Database& db, ActiveRun& run)
    : db_(db),
      run_(run),
      find_text_(db.prepare("SELECT text_id FROM text WHERE sha256 = ?")),
      add_text_(db.prepare("INSERT INTO text(sha256, body) VALUES(?, ?)")),
      find_query_(db.prepare("SELECT query_id FROM query WHERE sample_id = ? AND shift_id = ? AND "
                             "shift_seed = ? AND prompt_sha256 = ?")),
      add_query_(db.prepare("INSERT INTO query(sample_id, shift_id, shift_seed, prompt_sha256, "
                            "prefix_text_id, prompt_text_id, label_preserved) "
                            "VALUES(?, ?, ?, ?, ?, ?, ?)")),
      find_try_(db.prepare("SELECT COUNT(*), MAX(status <> 'infra') FROM attempt "
                           "WHERE run_id = ? AND ordinal = ?")),
      add_attempt_(db.prepare(insert_sql<AttemptRow>(
          "attempt",
          "run_id, ordinal, try_ix, session_ix, query_id, policy_id, repeat_ix, output_text_id, "
          "row_sha256, chain_ix, chain_sha256"))),
      add_option_(db.prepare("INSERT INTO attempt_option(attempt_id, option_ix, logprob_nats, "
                             "n_tokens, text) VALUES(?, ?, ?, ?, ?)")),
      add_layer_(db.prepare("INSERT INTO attempt_layer(attempt_id, layer, tokens, k_sum, k_max, "
                            "k_min, margin_mean, margin_min) VALUES(?, ?, ?, ?, ?, ?, ?, ?)")),
      add_expert_(db.prepare("INSERT INTO attempt_expert(attempt_id, n_layers, n_experts, tokens) "
                             "VALUES(?, ?, ?, ?)")),
      add_prefix_(db.prepare(insert_sql<PrefixRow>(
          "prefix", "run_id, session_ix, policy_id, compute_ix, row_sha256"))),
      verdicts_(db) {}

int64_t AttemptWriter::text_id(const std::string& sha256, const std::string& body) {
  find_text_.bind(1, sha256);
  const bool found = find_text_.step();
  const int64_t id = found ? find_text_.integer(0) : 0;
  find_text_.reset();
  if (found) return id;
  add_text_.bind(1, sha256).bind(2, body);
  add_text_.run();
  return db_.last_insert_rowid();
}

int64_t AttemptWriter::query_id(const PlannedKey& key, const QueryRow& q,
                                const std::string& prompt_sha256) {
  find_query_.bind(1, key.sample_id).bind(2, key.shift_id).bind(3, key.shift_seed);
  find_query_.bind(4, prompt_sha256);
  const bool found = find_query_.step();
  const int64_t id = found ? find_query_.integer(0) : 0;
  find_query_.reset();
  if (found) return id;
  std::optional<int64_t> prefix_text, prompt_text;
  if (q.store_text) {
    if (q.prefix_text != last_prefix_) {
      last_prefix_sha256_ = sha256_hex(q.prefix_text);
      last_prefix_ = q.prefix_text;
    }
    if (!q.prefix_text.empty()) prefix_text = text_id(last_prefix_sha256_, q.prefix_text);
    prompt_text = text_id(sha256_hex(q.prompt_text), q.prompt_text);
  }
  add_query_.bind(1, key.sample_id).bind(2, key.shift_id).bind(3, key.shift_seed);
  add_query_.bind(4, prompt_sha256).bind(5, prefix_text).bind(6, prompt_text);
  add_query_.bind(7, q.label_preserved);
  add_query_.run();
  return db_.last_insert_rowid();
}

void AttemptWriter::store_prefix(const PrefixRow& row) {
  const auto policy = static_cast<size_t>(row.policy);
  Statement count =
      db_.prepare("SELECT COUNT(*) FROM prefix WHERE run_id = ? AND prefix_sha256 = ?");
  count.bind(1, run_.run_id).bind(2, row.prefix_sha256);
  count.step();
  const int64_t compute_ix = count.integer(0);
  add_prefix_.bind(1, run_.run_id).bind(2, run_.session_ix).bind(3, run_.policy_ids.at(policy));
  add_prefix_.bind(4, compute_ix);
  add_prefix_.bind(
      5, prefix_checksum(run_.run_uuid, run_.policy_row_sha256.at(policy), compute_ix, row));
  visit_columns(row, ColumnBinder{add_prefix_, 6});
  add_prefix_.run();
}

void AttemptWriter::store(const AttemptBundle& b) {
  const AttemptRow& row = b.attempt;
  const PlannedKey& key = run_.planned.at(static_cast<size_t>(row.ordinal));
  Transaction tx(db_);
  for (const PrefixRow& p : b.prefixes) store_prefix(p);

  AttemptContext context{run_.run_uuid, key.identity_sha256, 0, {}, {}};
  find_try_.bind(1, run_.run_id).bind(2, row.ordinal);
  find_try_.step();
  context.try_ix = find_try_.integer(0);
  const bool done = find_try_.integer(1) == 1;
  find_try_.reset();
  if (done)
    throw StoreError(fmt::format("{}: run {} planned {} has a result already", db_.name(),
                                 run_.run_uuid, row.ordinal));
  context.prompt_sha256 = sha256_hex(b.query.prefix_text + b.query.prompt_text);
  std::optional<int64_t> output_text;
  if (b.output_text) {
    context.output_sha256 = sha256_hex(*b.output_text);
    output_text = text_id(*context.output_sha256, *b.output_text);
  }
  const std::string row_sha256 = attempt_checksum(context, row, b.options, b.layers, b.experts);
  const std::string chain_sha256 = chain_link(run_.last_chain_sha256, row_sha256);

  add_attempt_.bind(1, run_.run_id).bind(2, row.ordinal).bind(3, context.try_ix);
  add_attempt_.bind(4, run_.session_ix);
  add_attempt_.bind(5, query_id(key, b.query, context.prompt_sha256));
  add_attempt_.bind(6, key.policy_id).bind(7, key.repeat_ix).bind(8, output_text);
  add_attempt_.bind(9, row_sha256).bind(10, run_.next_chain_ix).bind(11, chain_sha256);
  visit_columns(row, ColumnBinder{add_attempt_, 12});
  add_attempt_.run();
  const int64_t attempt_id = db_.last_insert_rowid();
  for (size_t i = 0; i < b.options.size(); ++i) {
    add_option_.bind(1, attempt_id).bind(2, static_cast<int64_t>(i));
    add_option_.bind(3, b.options[i].logprob_nats)
        .bind(4, b.options[i].n_tokens)
        .bind(5, b.options[i].text);
    add_option_.run();
  }
  for (const LayerRow& l : b.layers) {
    add_layer_.bind(1, attempt_id).bind(2, l.layer).bind(3, l.tokens);
    add_layer_.bind(4, l.k_sum).bind(5, l.k_max).bind(6, l.k_min);
    add_layer_.bind(7, l.margin_mean).bind(8, l.margin_min);
    add_layer_.run();
  }
  if (b.experts) {
    add_expert_.bind(1, attempt_id).bind(2, b.experts->n_layers).bind(3, b.experts->n_experts);
    add_expert_.bind_blob(4, pack_counts(b.experts->tokens));
    add_expert_.run();
  }
  for (const VerdictRow& v : b.verdicts) verdicts_.put(attempt_id, row_sha256, v);
  tx.commit();
  run_.last_chain_sha256 = chain_sha256;
  ++run_.next_chain_ix;
}

}  // namespace results
