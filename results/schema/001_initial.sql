-- Migration 1: the whole store. Facts in tables, everything derived in views. NULL = not measured,
-- 0 = zero. Units are in the column names and in the table `columns` (filled at the end, checked by
-- a test to be complete). Append-only, but for run.status/ended_at, run_session's end, the lease,
-- and verdicts marked again. The runner sets application_id and user_version.

-- ---- dimensions: row_sha256 covers every other column; equal content is stored once ----

CREATE TABLE environment(
  environment_id INTEGER PRIMARY KEY,
  row_sha256 TEXT NOT NULL UNIQUE CHECK(length(row_sha256) = 64),
  fingerprint TEXT NOT NULL,
  host_class TEXT,
  os TEXT,
  kernel TEXT,
  cpu_model TEXT,
  instruction_set TEXT,
  cpu_cores INTEGER CHECK(cpu_cores > 0),
  ram_bytes INTEGER CHECK(ram_bytes > 0),
  gpu_model TEXT,
  gpu_count INTEGER NOT NULL DEFAULT 0 CHECK(gpu_count >= 0),
  gpu_driver TEXT,
  cuda_version TEXT,
  clock_policy TEXT,
  compiler TEXT,
  build_flags TEXT,
  extra_json TEXT
) STRICT;

CREATE TABLE model(
  model_id INTEGER PRIMARY KEY,
  row_sha256 TEXT NOT NULL UNIQUE CHECK(length(row_sha256) = 64),
  name TEXT NOT NULL CHECK(name <> ''),
  weights_sha256 TEXT NOT NULL,
  tokenizer_sha256 TEXT NOT NULL,
  config_json TEXT NOT NULL,
  dtype TEXT NOT NULL,
  n_layers INTEGER NOT NULL CHECK(n_layers >= 0),
  n_experts INTEGER NOT NULL CHECK(n_experts >= 1),
  params_total INTEGER NOT NULL CHECK(params_total >= 0),
  params_dense INTEGER NOT NULL CHECK(params_dense >= 0),
  params_per_expert INTEGER NOT NULL CHECK(params_per_expert >= 0)
) STRICT;
CREATE INDEX model_by_weights ON model(weights_sha256);

CREATE TABLE policy(
  policy_id INTEGER PRIMARY KEY,
  row_sha256 TEXT NOT NULL UNIQUE CHECK(length(row_sha256) = 64),
  kind TEXT NOT NULL CHECK(kind <> ''),
  k_fixed INTEGER CHECK(k_fixed >= 1),
  predictor_sha256 TEXT,
  config_json TEXT NOT NULL,
  policy_sha256 TEXT NOT NULL,
  label TEXT NOT NULL CHECK(label <> '')
) STRICT;

CREATE TABLE dataset(
  dataset_id INTEGER PRIMARY KEY,
  row_sha256 TEXT NOT NULL UNIQUE CHECK(length(row_sha256) = 64),
  name TEXT NOT NULL,
  split TEXT NOT NULL,
  revision TEXT,
  sha256 TEXT NOT NULL,
  n_rows INTEGER NOT NULL CHECK(n_rows >= 0),
  licence TEXT
) STRICT;

CREATE TABLE task(
  task_id INTEGER PRIMARY KEY,
  row_sha256 TEXT NOT NULL CHECK(length(row_sha256) = 64),
  dataset_id INTEGER NOT NULL REFERENCES dataset,
  name TEXT NOT NULL CHECK(name <> ''),
  suite TEXT NOT NULL,
  version INTEGER NOT NULL,
  scorer TEXT NOT NULL,
  metric TEXT NOT NULL,
  n_shot INTEGER NOT NULL CHECK(n_shot >= 0),
  config_json TEXT NOT NULL,
  prompt_sha256 TEXT NOT NULL,
  chance REAL CHECK(chance BETWEEN 0 AND 1),
  task_sha256 TEXT NOT NULL,
  UNIQUE(row_sha256, dataset_id)
) STRICT;

CREATE TABLE sample(
  sample_id INTEGER PRIMARY KEY,
  task_id INTEGER NOT NULL REFERENCES task,
  source_key TEXT NOT NULL CHECK(source_key <> ''),
  cluster TEXT,
  gold TEXT,
  n_choices INTEGER CHECK(n_choices >= 0),
  UNIQUE(task_id, source_key)
) STRICT;

CREATE TABLE shift(
  shift_id INTEGER PRIMARY KEY,
  row_sha256 TEXT NOT NULL UNIQUE CHECK(length(row_sha256) = 64),
  name TEXT NOT NULL,
  family TEXT NOT NULL,
  severity INTEGER NOT NULL CHECK(severity >= 0),
  version INTEGER NOT NULL,
  config_json TEXT NOT NULL
) STRICT;

CREATE TABLE text(
  text_id INTEGER PRIMARY KEY,
  sha256 TEXT NOT NULL UNIQUE CHECK(length(sha256) = 64),
  body TEXT
) STRICT;

-- The whole prompt is prefix || prompt; a subject's demonstrations are stored once.
CREATE TABLE query(
  query_id INTEGER PRIMARY KEY,
  sample_id INTEGER NOT NULL REFERENCES sample,
  shift_id INTEGER NOT NULL REFERENCES shift,
  shift_seed INTEGER NOT NULL,
  prompt_sha256 TEXT NOT NULL CHECK(length(prompt_sha256) = 64),
  prefix_text_id INTEGER REFERENCES text,
  prompt_text_id INTEGER REFERENCES text,
  label_preserved INTEGER CHECK(label_preserved IN (0, 1)),
  UNIQUE(sample_id, shift_id, shift_seed, prompt_sha256)
) STRICT;

-- ---- runs ----

CREATE TABLE run(
  run_id INTEGER PRIMARY KEY,
  run_uuid TEXT NOT NULL UNIQUE CHECK(run_uuid <> ''),
  row_sha256 TEXT NOT NULL CHECK(length(row_sha256) = 64),
  kind TEXT NOT NULL CHECK(kind IN ('policy', 'sweep')),
  parent_uuid TEXT,
  shard_ix INTEGER CHECK(shard_ix >= 0),
  shard_n INTEGER CHECK(shard_n >= 1),
  model_id INTEGER NOT NULL REFERENCES model,
  environment_id INTEGER NOT NULL REFERENCES environment,
  fingerprint_json TEXT NOT NULL,
  fingerprint_sha256 TEXT NOT NULL CHECK(length(fingerprint_sha256) = 64),
  plan_sha256 TEXT NOT NULL CHECK(length(plan_sha256) = 64),
  n_planned INTEGER NOT NULL CHECK(n_planned >= 0),
  config_json TEXT NOT NULL,
  argv TEXT NOT NULL,
  tool_version TEXT NOT NULL,
  git_sha TEXT,
  git_dirty INTEGER CHECK(git_dirty IN (0, 1)),
  binary_sha256 TEXT NOT NULL,
  seed INTEGER NOT NULL,
  determinism TEXT NOT NULL,
  scenario TEXT NOT NULL,
  target_rate REAL CHECK(target_rate > 0),
  concurrency INTEGER CHECK(concurrency >= 1),
  note TEXT,
  started_at TEXT NOT NULL,
  ended_at TEXT,
  status TEXT NOT NULL CHECK(status IN ('running', 'complete', 'incomplete', 'interrupted', 'failed'))
) STRICT;
CREATE INDEX run_by_fingerprint ON run(fingerprint_sha256);

-- One process that worked on a run; its end holds the counts and the last chain value.
CREATE TABLE run_session(
  run_id INTEGER NOT NULL REFERENCES run,
  session_ix INTEGER NOT NULL CHECK(session_ix >= 0),
  environment_id INTEGER NOT NULL REFERENCES environment,
  argv TEXT NOT NULL,
  pid INTEGER NOT NULL,
  host TEXT NOT NULL,
  started_at TEXT NOT NULL,
  ended_at TEXT,
  status TEXT,
  n_done INTEGER,
  n_attempts INTEGER,
  n_infra INTEGER,
  last_chain_sha256 TEXT,
  PRIMARY KEY(run_id, session_ix)
) STRICT, WITHOUT ROWID;

-- The one process that may write to this file now.
CREATE TABLE lease(
  lease_id INTEGER PRIMARY KEY CHECK(lease_id = 1),
  run_id INTEGER NOT NULL REFERENCES run,
  pid INTEGER NOT NULL,
  process_start_ticks INTEGER NOT NULL,
  boot_id TEXT NOT NULL,
  host TEXT NOT NULL,
  pid_namespace TEXT NOT NULL,
  acquired_at TEXT NOT NULL
) STRICT;

CREATE TABLE planned_attempt(
  run_id INTEGER NOT NULL REFERENCES run,
  ordinal INTEGER NOT NULL CHECK(ordinal >= 0),
  sample_id INTEGER NOT NULL REFERENCES sample,
  shift_id INTEGER NOT NULL REFERENCES shift,
  shift_seed INTEGER NOT NULL,
  policy_id INTEGER NOT NULL REFERENCES policy,
  repeat_ix INTEGER NOT NULL CHECK(repeat_ix >= 0),
  PRIMARY KEY(run_id, ordinal),
  UNIQUE(run_id, sample_id, shift_id, shift_seed, policy_id, repeat_ix)
) STRICT, WITHOUT ROWID;

CREATE TABLE prefix(
  prefix_id INTEGER PRIMARY KEY,
  run_id INTEGER NOT NULL REFERENCES run,
  session_ix INTEGER NOT NULL,
  policy_id INTEGER NOT NULL REFERENCES policy,
  prefix_sha256 TEXT NOT NULL CHECK(prefix_sha256 <> ''),
  compute_ix INTEGER NOT NULL CHECK(compute_ix >= 0),
  n_tokens INTEGER NOT NULL CHECK(n_tokens >= 0),
  executed_attention_flops INTEGER NOT NULL CHECK(executed_attention_flops >= 0),
  executed_router_flops INTEGER NOT NULL CHECK(executed_router_flops >= 0),
  executed_experts_flops INTEGER NOT NULL CHECK(executed_experts_flops >= 0),
  executed_head_flops INTEGER NOT NULL CHECK(executed_head_flops >= 0),
  executed_predictor_flops INTEGER NOT NULL CHECK(executed_predictor_flops >= 0),
  executed_flops INTEGER GENERATED ALWAYS AS (executed_attention_flops + executed_router_flops
    + executed_experts_flops + executed_head_flops + executed_predictor_flops) VIRTUAL,
  prefill_us INTEGER CHECK(prefill_us >= 0),
  row_sha256 TEXT NOT NULL CHECK(length(row_sha256) = 64),
  UNIQUE(run_id, prefix_sha256, compute_ix),
  FOREIGN KEY(run_id, session_ix) REFERENCES run_session(run_id, session_ix)
) STRICT;

CREATE TABLE attempt(
  attempt_id INTEGER PRIMARY KEY,
  run_id INTEGER NOT NULL REFERENCES run,
  ordinal INTEGER NOT NULL,
  try_ix INTEGER NOT NULL CHECK(try_ix >= 0),
  session_ix INTEGER NOT NULL,
  query_id INTEGER NOT NULL REFERENCES query,
  policy_id INTEGER NOT NULL REFERENCES policy,
  repeat_ix INTEGER NOT NULL CHECK(repeat_ix >= 0),
  seed INTEGER NOT NULL,
  status TEXT NOT NULL CHECK(status IN ('ok', 'too_long', 'not_finite', 'timeout', 'error', 'infra')),
  status_detail TEXT,
  finish_reason TEXT,
  complexity REAL,
  k_requested INTEGER CHECK(k_requested >= 1),
  k_mean REAL CHECK(k_mean >= 0),
  k_min INTEGER CHECK(k_min >= 0),
  k_max INTEGER CHECK(k_max >= 0),
  capped INTEGER CHECK(capped IN (0, 1)),
  k_uncapped INTEGER CHECK(k_uncapped >= 1),
  p_k_json TEXT,
  prompt_tokens INTEGER CHECK(prompt_tokens >= 0),
  prefix_tokens INTEGER CHECK(prefix_tokens >= 0),
  dropped_tokens INTEGER CHECK(dropped_tokens >= 0),
  dropped_demonstrations INTEGER CHECK(dropped_demonstrations >= 0),
  output_tokens INTEGER CHECK(output_tokens >= 0),
  prefix_sha256 TEXT,
  scheduled_ns INTEGER,
  queue_us INTEGER CHECK(queue_us >= 0),
  predict_us INTEGER CHECK(predict_us >= 0),
  prefill_us INTEGER CHECK(prefill_us >= 0),
  decode_us INTEGER CHECK(decode_us >= 0),
  ttft_us INTEGER CHECK(ttft_us >= 0),
  latency_us INTEGER CHECK(latency_us >= 0),
  service_us INTEGER CHECK(service_us >= 0),
  itl_max_us INTEGER CHECK(itl_max_us >= 0),
  batch_size REAL CHECK(batch_size >= 0),
  batch_experts REAL CHECK(batch_experts >= 0),
  batch_k_max INTEGER CHECK(batch_k_max >= 0),
  useful_attention_flops INTEGER CHECK(useful_attention_flops >= 0),
  useful_router_flops INTEGER CHECK(useful_router_flops >= 0),
  useful_experts_flops INTEGER CHECK(useful_experts_flops >= 0),
  useful_head_flops INTEGER CHECK(useful_head_flops >= 0),
  useful_predictor_flops INTEGER CHECK(useful_predictor_flops >= 0),
  useful_flops INTEGER GENERATED ALWAYS AS (useful_attention_flops + useful_router_flops
    + useful_experts_flops + useful_head_flops + useful_predictor_flops) VIRTUAL,
  executed_attention_flops INTEGER CHECK(executed_attention_flops >= 0),
  executed_router_flops INTEGER CHECK(executed_router_flops >= 0),
  executed_experts_flops INTEGER CHECK(executed_experts_flops >= 0),
  executed_head_flops INTEGER CHECK(executed_head_flops >= 0),
  executed_predictor_flops INTEGER CHECK(executed_predictor_flops >= 0),
  executed_flops INTEGER GENERATED ALWAYS AS (executed_attention_flops + executed_router_flops
    + executed_experts_flops + executed_head_flops + executed_predictor_flops) VIRTUAL,
  weights_bytes INTEGER CHECK(weights_bytes >= 0),
  energy_uj INTEGER CHECK(energy_uj >= 0),
  energy_source TEXT,
  reference_logprob_nats REAL,
  reference_tokens INTEGER CHECK(reference_tokens >= 0),
  output_text_id INTEGER REFERENCES text,
  warmup INTEGER NOT NULL DEFAULT 0 CHECK(warmup IN (0, 1)),
  row_sha256 TEXT NOT NULL CHECK(length(row_sha256) = 64),
  chain_ix INTEGER NOT NULL CHECK(chain_ix >= 0),
  chain_sha256 TEXT NOT NULL CHECK(length(chain_sha256) = 64),
  UNIQUE(run_id, ordinal, try_ix),
  UNIQUE(run_id, chain_ix),
  FOREIGN KEY(run_id, ordinal) REFERENCES planned_attempt(run_id, ordinal),
  FOREIGN KEY(run_id, session_ix) REFERENCES run_session(run_id, session_ix)
) STRICT;
CREATE INDEX attempt_by_query ON attempt(query_id, policy_id);
CREATE INDEX attempt_by_run ON attempt(run_id, policy_id);

CREATE TABLE attempt_option(
  attempt_id INTEGER NOT NULL REFERENCES attempt,
  option_ix INTEGER NOT NULL CHECK(option_ix >= 0),
  logprob_nats REAL,
  n_tokens INTEGER NOT NULL CHECK(n_tokens >= 0),
  text TEXT,
  PRIMARY KEY(attempt_id, option_ix)
) STRICT, WITHOUT ROWID;

CREATE TABLE attempt_layer(
  attempt_id INTEGER NOT NULL REFERENCES attempt,
  layer INTEGER NOT NULL CHECK(layer >= 0),
  tokens INTEGER NOT NULL CHECK(tokens >= 0),
  k_sum INTEGER NOT NULL CHECK(k_sum >= 0),
  k_max INTEGER NOT NULL CHECK(k_max >= 0),
  PRIMARY KEY(attempt_id, layer)
) STRICT, WITHOUT ROWID;

CREATE TABLE attempt_expert(
  attempt_id INTEGER PRIMARY KEY REFERENCES attempt,
  n_layers INTEGER NOT NULL CHECK(n_layers >= 1),
  n_experts INTEGER NOT NULL CHECK(n_experts >= 1),
  tokens BLOB NOT NULL
) STRICT;

CREATE TABLE verdict(
  attempt_id INTEGER NOT NULL REFERENCES attempt,
  scorer TEXT NOT NULL CHECK(scorer <> ''),
  outcome TEXT NOT NULL CHECK(outcome IN ('passed', 'wrong', 'error', 'timeout_cpu', 'timeout_wall',
    'memory', 'output_limit', 'crash_signal', 'policy_kill', 'protocol', 'load_error', 'too_long',
    'infra', 'not_run', 'unscored')),
  answer TEXT,
  correct INTEGER CHECK(correct IN (0, 1)),
  score REAL,
  margin_nats REAL,
  gold_nll_nats REAL,
  detail TEXT,
  score_us INTEGER CHECK(score_us >= 0),
  scored_at TEXT NOT NULL,
  row_sha256 TEXT NOT NULL CHECK(length(row_sha256) = 64),
  PRIMARY KEY(attempt_id, scorer),
  CHECK((outcome = 'passed') = (correct IS 1)),
  CHECK((outcome IN ('infra', 'not_run', 'unscored')) = (correct IS NULL))
) STRICT, WITHOUT ROWID;

-- ---- views ----

-- The one wide join that people export: the last try of every planned attempt, warm-ups left out.
CREATE VIEW v_attempt AS
SELECT a.attempt_id, a.run_id, r.run_uuid, r.kind AS run_kind, r.model_id, m.name AS model,
  m.weights_sha256, a.policy_id, p.kind AS policy_kind, p.label AS policy, t.task_id, t.suite,
  t.name AS task, t.chance, s.sample_id, s.source_key, s.cluster, s.gold, sh.name AS shift,
  sh.severity, q.shift_seed, a.query_id, a.ordinal, a.repeat_ix, a.try_ix, a.status,
  a.finish_reason, a.complexity, a.k_requested, a.k_mean, a.k_min, a.k_max, a.capped, a.k_uncapped,
  a.prompt_tokens, a.prefix_tokens, a.output_tokens, a.scheduled_ns, a.queue_us, a.predict_us,
  a.prefill_us, a.decode_us, a.ttft_us, a.latency_us, a.service_us, a.itl_max_us, a.batch_size,
  a.batch_experts, a.batch_k_max, a.useful_flops, a.executed_flops, a.weights_bytes, a.energy_uj,
  a.reference_logprob_nats, a.reference_tokens, v.scorer, v.outcome, v.answer, v.correct, v.score,
  v.margin_nats, v.gold_nll_nats, v.score_us,
  (a.status <> 'infra' AND COALESCE(v.outcome, 'wrong') NOT IN ('infra', 'not_run', 'unscored'))
    AS graded
FROM attempt a
JOIN run r ON r.run_id = a.run_id
JOIN model m ON m.model_id = r.model_id
JOIN policy p ON p.policy_id = a.policy_id
JOIN query q ON q.query_id = a.query_id
JOIN sample s ON s.sample_id = q.sample_id
JOIN task t ON t.task_id = s.task_id
JOIN shift sh ON sh.shift_id = q.shift_id
LEFT JOIN verdict v ON v.attempt_id = a.attempt_id AND v.scorer = t.scorer
WHERE a.warmup = 0 AND NOT EXISTS (SELECT 1 FROM attempt b
  WHERE b.run_id = a.run_id AND b.ordinal = a.ordinal AND b.try_ix > a.try_ix);

-- Ungraded rows (infrastructure failures, unscored) are neither right nor wrong; a query that failed
-- is graded and wrong.
CREATE VIEW v_leaderboard AS
SELECT run_id, run_uuid, run_kind, model, policy, suite, task, shift, severity, chance,
  SUM(graded) AS n, SUM(CASE WHEN graded THEN COALESCE(correct, 0) END) AS n_correct,
  1.0 * SUM(CASE WHEN graded THEN COALESCE(correct, 0) END) / NULLIF(SUM(graded), 0) AS accuracy,
  SUM(graded AND status <> 'ok') AS n_failed, SUM(NOT graded) AS n_ungraded,
  AVG(k_mean) AS mean_k, AVG(useful_flops) AS useful_flops_per_query,
  AVG(executed_flops) AS executed_flops_per_query, AVG(latency_us) / 1000.0 AS mean_latency_ms,
  CASE WHEN COUNT(energy_uj) = COUNT(*) THEN SUM(energy_uj) / 1e6
    / NULLIF(SUM(CASE WHEN graded THEN COALESCE(correct, 0) END), 0) END AS joule_per_correct
FROM v_attempt GROUP BY run_id, policy_id, task_id, shift, severity;

-- Nearest-rank percentiles; NULL where the sample is too small to have one.
CREATE VIEW v_latency_tails AS
WITH b AS (
  SELECT run_id, policy_id, policy, task_id, task,
    COALESCE(k_requested, CAST(k_mean + 0.999999 AS INTEGER)) AS k_bucket, latency_us
  FROM v_attempt WHERE status IN ('ok', 'timeout') AND latency_us IS NOT NULL),
o AS (
  SELECT *, ROW_NUMBER() OVER (PARTITION BY run_id, policy_id, task_id, k_bucket
      ORDER BY latency_us) AS r,
    COUNT(*) OVER (PARTITION BY run_id, policy_id, task_id, k_bucket) AS n FROM b)
SELECT run_id, policy, task, k_bucket, n,
  MAX(CASE WHEN r = (n * 50 + 99) / 100 THEN latency_us END) AS p50_us,
  CASE WHEN n >= 10 THEN MAX(CASE WHEN r = (n * 90 + 99) / 100 THEN latency_us END) END AS p90_us,
  CASE WHEN n >= 20 THEN MAX(CASE WHEN r = (n * 95 + 99) / 100 THEN latency_us END) END AS p95_us,
  CASE WHEN n >= 100 THEN MAX(CASE WHEN r = (n * 99 + 99) / 100 THEN latency_us END) END AS p99_us,
  CASE WHEN n >= 1000 THEN MAX(CASE WHEN r = (n * 999 + 999) / 1000 THEN latency_us END) END
    AS p999_us,
  MAX(latency_us) AS max_us, n >= 368 AS p99_ci_exists, n >= 3688 AS p999_ci_exists
FROM o GROUP BY run_id, policy_id, task_id, k_bucket;

-- How many experts a query needs, from one sweep run: k_stable is the smallest swept k from which
-- every larger swept k is right too; k_prev the next lower swept k.
CREATE VIEW v_need AS
WITH f AS (
  SELECT run_id, weights_sha256, query_id, k_requested AS k, correct FROM v_attempt
  WHERE run_kind = 'sweep' AND policy_kind = 'fixed' AND repeat_ix = 0 AND status = 'ok' AND graded),
w AS (
  SELECT *, MIN(correct) OVER (PARTITION BY run_id, query_id ORDER BY k DESC
    ROWS UNBOUNDED PRECEDING) AS ok_from_here FROM f),
g AS (
  SELECT run_id, weights_sha256, query_id, MIN(CASE WHEN correct = 1 THEN k END) AS k_first,
    MIN(CASE WHEN ok_from_here = 1 THEN k END) AS k_stable, COUNT(*) AS n_k, MAX(k) AS k_largest
  FROM w GROUP BY run_id, query_id),
h AS (
  SELECT f.run_id, f.query_id, MAX(f.k) AS k_prev FROM f
  JOIN g ON g.run_id = f.run_id AND g.query_id = f.query_id WHERE f.k < g.k_stable
  GROUP BY f.run_id, f.query_id)
SELECT g.run_id AS sweep_run_id, g.weights_sha256, g.query_id, g.n_k, g.k_largest, g.k_first,
  g.k_stable, h.k_prev
FROM g LEFT JOIN h ON h.run_id = g.run_id AND h.query_id = g.query_id;

-- What a policy granted against what the query needed. One row per (attempt, sweep of the same
-- weights): name the sweep with sweep_run_id.
CREATE VIEW v_misallocation AS
SELECT a.run_id, n.sweep_run_id, a.policy, a.policy_kind, a.suite, a.task, a.cluster, a.shift,
  a.severity, a.query_id, a.attempt_id, a.repeat_ix, a.k_mean, n.k_first, n.k_stable, n.k_prev,
  a.correct,
  CASE
    WHEN n.k_stable IS NULL AND a.correct = 1 THEN 'lucky'
    WHEN n.k_stable IS NULL THEN 'hopeless'
    WHEN a.k_mean <= n.k_prev AND a.correct = 1 THEN 'lucky'
    WHEN a.k_mean <= n.k_prev THEN 'under'
    WHEN a.correct = 0 AND a.k_mean < n.k_stable THEN 'boundary'
    WHEN a.correct = 0 THEN 'unstable'
    WHEN a.k_mean > n.k_stable THEN 'over'
    ELSE 'exact'
  END AS class,
  a.k_mean - n.k_stable AS k_gap
FROM v_attempt a
JOIN v_need n ON n.weights_sha256 = a.weights_sha256 AND n.query_id = a.query_id
WHERE a.run_kind = 'policy' AND a.status = 'ok' AND a.graded AND a.k_mean IS NOT NULL;

-- Shared prefixes: what they cost, and how many attempts leaned on them.
CREATE VIEW v_prefix AS
SELECT x.run_id, x.prefix_sha256, MIN(x.n_tokens) AS n_tokens, COUNT(*) AS n_computed,
  SUM(x.executed_flops) AS executed_flops,
  (SELECT COUNT(*) FROM attempt a WHERE a.run_id = x.run_id AND a.prefix_sha256 = x.prefix_sha256)
    AS n_users
FROM prefix x GROUP BY x.run_id, x.prefix_sha256;

CREATE VIEW v_run_card AS
SELECT r.run_id, r.run_uuid, r.kind, r.status, m.name AS model, m.dtype, m.weights_sha256,
  e.cpu_model, e.instruction_set, e.gpu_model, r.scenario, r.determinism, r.seed, r.tool_version,
  r.git_sha, r.git_dirty, r.started_at, r.ended_at, r.n_planned,
  (SELECT COUNT(DISTINCT a.ordinal) FROM attempt a WHERE a.run_id = r.run_id
    AND a.status <> 'infra') AS n_done,
  (SELECT COUNT(*) FROM attempt a WHERE a.run_id = r.run_id) AS n_attempts,
  (SELECT COUNT(*) FROM attempt a WHERE a.run_id = r.run_id AND a.status = 'infra') AS n_infra,
  (SELECT COUNT(*) FROM run_session s WHERE s.run_id = r.run_id) AS n_sessions,
  (SELECT SUM(a.useful_flops) FROM attempt a WHERE a.run_id = r.run_id) AS useful_flops,
  (SELECT SUM(a.executed_flops) FROM attempt a WHERE a.run_id = r.run_id)
    + COALESCE((SELECT SUM(x.executed_flops) FROM prefix x WHERE x.run_id = r.run_id), 0)
    AS executed_flops
FROM run r JOIN model m ON m.model_id = r.model_id
JOIN environment e ON e.environment_id = r.environment_id;
