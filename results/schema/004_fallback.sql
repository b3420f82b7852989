-- Migration 4: policies that recognise queries unlike their training, and what they do with them.
-- Rows of before have NULL in the new columns and keep their checksums.

ALTER TABLE attempt ADD COLUMN ood_score REAL CHECK(ood_score >= 0);
ALTER TABLE attempt ADD COLUMN ood_flagged INTEGER CHECK(ood_flagged IN (0, 1));
ALTER TABLE attempt ADD COLUMN k_without_fallback INTEGER CHECK(k_without_fallback >= 1);

INSERT INTO columns(tbl, col, unit, meaning) VALUES
  ('attempt', 'ood_score', NULL, 'distance of the query from those that the predictor learned from (policies with a fallback)'),
  ('attempt', 'ood_flagged', '0 | 1', 'the distance is beyond the predictor''s threshold: its fallback decided'),
  ('attempt', 'k_without_fallback', 'experts per token and layer', 'k by the predictor''s rule alone, before the fallback and any cap');
