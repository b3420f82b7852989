-- Migration 3: the need is that of a question, not of one way to ask it. Option orders and wordings
-- are ways to ask the same question: it counts as right at a k when at least 75% of its graded ways
-- were. A shift proper (severity, seed) may change the need and has its own row.

DROP VIEW v_misallocation;
DROP VIEW v_need;

CREATE VIEW v_question AS
SELECT *, CASE WHEN family IN ('clean', 'option_order', 'wording') THEN 'clean'
    ELSE shift || ':' || severity END
    AS question_shift,
  CASE WHEN family IN ('clean', 'option_order', 'wording') THEN 0 ELSE shift_seed END
    AS question_seed
FROM (SELECT a.*, h.family FROM v_attempt a JOIN query q ON q.query_id = a.query_id
  JOIN shift h ON h.shift_id = q.shift_id);

CREATE VIEW v_need AS
WITH f AS (
  SELECT run_id, weights_sha256, sample_id, question_shift, question_seed, k_requested AS k,
    COUNT(*) AS n_ways, AVG(correct) >= 0.75 AS reliable
  FROM v_question WHERE run_kind = 'sweep' AND policy_kind = 'fixed' AND status <> 'infra'
    AND correct IS NOT NULL
  GROUP BY run_id, sample_id, question_shift, question_seed, k_requested),
w AS (
  SELECT *, MIN(reliable) OVER (PARTITION BY run_id, sample_id, question_shift, question_seed
    ORDER BY k DESC ROWS UNBOUNDED PRECEDING) AS ok_from_here FROM f),
g AS (
  SELECT run_id, weights_sha256, sample_id, question_shift, question_seed, MIN(n_ways) AS n_ways,
    MIN(CASE WHEN reliable THEN k END) AS k_first,
    MIN(CASE WHEN ok_from_here THEN k END) AS k_stable, COUNT(*) AS n_k, MIN(k) AS k_smallest,
    MAX(k) AS k_largest
  FROM w GROUP BY run_id, sample_id, question_shift, question_seed
  -- Where a k is missing the need is not known.
  HAVING COUNT(*) = (SELECT COUNT(DISTINCT p.k_fixed) FROM planned_attempt x JOIN policy p USING(policy_id)
    WHERE x.run_id = w.run_id))
SELECT g.run_id AS sweep_run_id, g.weights_sha256, g.sample_id, g.question_shift, g.question_seed,
  g.n_ways, g.n_k, g.k_largest, g.k_first, g.k_stable,
  (SELECT MAX(f.k) FROM f WHERE f.run_id = g.run_id AND f.sample_id = g.sample_id
    AND f.question_shift = g.question_shift AND f.question_seed = g.question_seed
    AND f.k < g.k_stable) AS k_prev,
  CASE WHEN g.k_stable = g.k_smallest THEN 'easy' WHEN g.k_stable IS NOT NULL THEN 'elastic'
    WHEN g.k_first IS NOT NULL THEN 'inverse' ELSE 'never' END AS need
FROM g;

-- One row per (first answer of a query, sweep of the same weights that knows its need): where there
-- are several sweeps, filter on sweep_run_id.
CREATE VIEW v_misallocation AS
SELECT a.run_id, n.sweep_run_id, a.policy, a.policy_kind, a.suite, a.task, a.cluster, a.source_key,
  a.shift, a.severity, a.query_id, a.attempt_id, a.repeat_ix, a.complexity, a.k_mean, a.capped,
  a.k_uncapped, n.n_ways, n.need, n.k_first, n.k_stable, n.k_prev, a.correct, a.useful_flops,
  CASE
    WHEN n.k_stable IS NULL AND a.correct = 1 THEN 'lucky'
    WHEN n.k_stable IS NULL THEN 'hopeless'
    WHEN a.k_mean <= n.k_prev AND a.correct = 1 THEN 'lucky'
    WHEN a.correct = 0 AND a.capped = 1 AND a.k_mean < n.k_stable
      AND a.k_uncapped > COALESCE(n.k_prev, 0) THEN 'capped'
    WHEN a.k_mean <= n.k_prev THEN 'under'
    WHEN a.correct = 0 AND a.k_mean < n.k_stable THEN 'boundary'
    WHEN a.correct = 0 THEN 'unstable'
    WHEN a.k_mean > n.k_stable THEN 'over'
    ELSE 'exact'
  END AS class,
  a.k_mean - n.k_stable AS k_gap
FROM v_question a
JOIN v_need n ON n.weights_sha256 = a.weights_sha256 AND n.sample_id = a.sample_id
  AND n.question_shift = a.question_shift AND n.question_seed = a.question_seed
WHERE a.run_kind = 'policy' AND a.status = 'ok' AND a.correct IS NOT NULL
  AND a.k_mean IS NOT NULL AND a.repeat_ix = 0;

DELETE FROM columns WHERE tbl = 'v_need' AND col = 'query_id';
UPDATE columns SET meaning = 'smallest swept k at which the question was right'
  WHERE tbl IN ('v_need', 'v_misallocation') AND col = 'k_first';
UPDATE columns
  SET meaning = 'exact, over, under, capped, boundary, lucky, unstable, hopeless'
  WHERE tbl = 'v_misallocation' AND col = 'class';
INSERT INTO columns(tbl, col, unit, meaning)
  SELECT 'v_question', col, unit, meaning FROM columns WHERE tbl = 'v_attempt';
INSERT INTO columns(tbl, col, unit, meaning) VALUES
  ('v_question', 'family', NULL, 'family of the change'),
  ('v_question', 'question_shift', NULL, 'the shift, name:severity, that may change what is needed; clean for option orders and wordings'),
  ('v_question', 'question_seed', NULL, 'seed of that shift'),
  ('v_need', 'sample_id', NULL, 'the sample'),
  ('v_need', 'question_shift', NULL, 'the shift, name:severity, that may change what is needed; clean for option orders and wordings'),
  ('v_need', 'question_seed', NULL, 'seed of that shift'),
  ('v_need', 'n_ways', 'queries', 'graded ways in which the question was asked, the fewest of all swept k'),
  ('v_need', 'need', NULL, 'easy (right from the smallest k), elastic, inverse (right at some k but not at the largest), never'),
  ('v_misallocation', 'source_key', NULL, 'id of the sample in its data set'),
  ('v_misallocation', 'complexity', NULL, 'what the predictor thought the query needs'),
  ('v_misallocation', 'capped', '0 | 1', 'the latency cap lowered k'),
  ('v_misallocation', 'k_uncapped', 'experts per token and layer', 'k without the cap'),
  ('v_misallocation', 'n_ways', 'queries', 'graded ways in which the sweep asked the question'),
  ('v_misallocation', 'need', NULL, 'easy, elastic, inverse, never; of the sweep'),
  ('v_misallocation', 'useful_flops', 'FLOPs', 'what the query would cost alone');
