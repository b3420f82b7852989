-- Migration 2: what adaptive experts leave behind. Rows of before have NULL in the new columns and
-- keep their checksums: a new column counts in a checksum only where it is not NULL.

ALTER TABLE attempt ADD COLUMN budget TEXT;
ALTER TABLE prefix ADD COLUMN budget TEXT;
ALTER TABLE attempt_layer ADD COLUMN k_min INTEGER CHECK(k_min >= 0);
ALTER TABLE attempt_layer ADD COLUMN margin_mean REAL;
ALTER TABLE attempt_layer ADD COLUMN margin_min REAL;

INSERT INTO columns(tbl, col, unit, meaning) VALUES
  ('attempt', 'budget', NULL, 'experts granted, in full: k, k of each layer, selector of a token (ExpertBudget::key)'),
  ('prefix', 'budget', NULL, 'experts granted to the prefix, as in attempt.budget'),
  ('attempt_layer', 'k_min', 'experts', 'fewest experts run for one token'),
  ('attempt_layer', 'margin_mean', NULL, 'router score of the last chosen expert minus that of the best one left out, mean over the tokens that had something to choose (--router-margins)'),
  ('attempt_layer', 'margin_min', NULL, 'smallest such margin');
