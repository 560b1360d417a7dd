-- Where in the code a run waits for something that other runs may wait for too; for people.

ALTER TABLE waiters ADD COLUMN site TEXT NOT NULL DEFAULT '';
