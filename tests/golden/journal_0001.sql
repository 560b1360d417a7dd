-- A journal as version 0.1.0 left it (schema 1), with runs in flight. Read by tests/e2e/test_upgrade.py.
PRAGMA application_id = 1634168373;
PRAGMA user_version = 1;
BEGIN TRANSACTION;
CREATE TABLE events (
    partition INTEGER NOT NULL,
    id TEXT NOT NULL,
    at INTEGER NOT NULL,
    payload TEXT NOT NULL,              
    PRIMARY KEY (partition, id)
) WITHOUT ROWID;
CREATE TABLE heartbeats (
    partition INTEGER NOT NULL,
    run_id TEXT NOT NULL,
    key TEXT NOT NULL,
    attempt INTEGER NOT NULL,
    details TEXT NOT NULL,              
    PRIMARY KEY (partition, run_id, key)
) WITHOUT ROWID;
CREATE TABLE idempotency_keys (
    partition INTEGER NOT NULL,
    component TEXT NOT NULL,
    key TEXT NOT NULL,
    run_id TEXT NOT NULL,
    input_digest TEXT NOT NULL,
    PRIMARY KEY (partition, component, key)
) WITHOUT ROWID;
INSERT INTO "idempotency_keys" VALUES(0,'waiting','o-1','01a1fdfedeff2820a93b6bfe772da478','349b6616626e06fcc64e98411b40d801');
CREATE TABLE journal (
    partition INTEGER NOT NULL,
    run_id TEXT NOT NULL,
    position INTEGER NOT NULL,
    at INTEGER NOT NULL,
    body TEXT NOT NULL,                 
    checksum INTEGER NOT NULL,          
    PRIMARY KEY (partition, run_id, position)
) WITHOUT ROWID;
INSERT INTO "journal" VALUES(0,'01a1fdfedefc07ac3ef31733b2ed4aca',0,1795262701309002,'{"type":"started","component":"child","input":{"order":"ended"}}',4160979801);
INSERT INTO "journal" VALUES(0,'01a1fdfedefc07ac3ef31733b2ed4aca',1,1795262701310365,'{"type":"outcome","op":0,"key":"5d0ebd4a967de5e4e30ef0a2","kind":"step","name":"ship","args":{"order":"ended"},"result":"shipped ended","began":1795262701309963,"ended":1795262701310298,"site":"/app/upgraded.py:53"}',567455451);
INSERT INTO "journal" VALUES(0,'01a1fdfedefc07ac3ef31733b2ed4aca',2,1795262701310770,'{"type":"ended","status":"completed","result":"shipped ended"}',2400998760);
INSERT INTO "journal" VALUES(0,'01a1fdfedeff2820a93b6bfe772da478',0,1795262701311409,'{"type":"started","component":"waiting","input":{"order":"o-1"}}',2091978725);
INSERT INTO "journal" VALUES(0,'01a1fdfedeff2820a93b6bfe772da478',1,1795262701312523,'{"type":"signal","name":"word","payload":"hello"}',1819958697);
INSERT INTO "journal" VALUES(0,'01a1fdfedeff2820a93b6bfe772da478',2,1795262701312523,'{"type":"outcome","op":0,"key":"86810c1cc74967a3f8ee7bd2","kind":"step","name":"price","args":{"order":"o-1"},"result":{"amount":{"$decimal":"12.50"},"due":{"$date":"2024-02-29"},"tags":{"$set":["new"]}},"began":1795262701312180,"ended":1795262701312474,"site":"/app/upgraded.py:59"}',67946972);
INSERT INTO "journal" VALUES(0,'01a1fdfedeff2820a93b6bfe772da478',3,1795262701313633,'{"type":"retrying","op":1,"key":"a37418eea5e0c8f07cdb80bc","name":"flaky","attempt":1,"began":1795262701312972,"ended":1795262701313279,"retry_at":1795262701323344,"error":{"type":"builtins:ConnectionError","message":"the first attempt","data":{"args":["the first attempt"]},"traceback":"Traceback (most recent call last):\n  File \"/app/upgraded.py\", line 35, in flaky\n    raise ConnectionError(\"the first attempt\")\nConnectionError: the first attempt\n"},"args":{},"site":"/app/upgraded.py:60"}',3037025484);
INSERT INTO "journal" VALUES(0,'01a1fdfedeff2820a93b6bfe772da478',4,1795262701325732,'{"type":"outcome","op":1,"key":"a37418eea5e0c8f07cdb80bc","kind":"step","name":"flaky","args":{},"result":2,"attempt":2,"began":1795262701325380,"ended":1795262701325671,"site":"/app/upgraded.py:60"}',1709682277);
INSERT INTO "journal" VALUES(0,'01a1fdfedeff2820a93b6bfe772da478',5,1795262701326238,'{"type":"outcome","op":2,"key":"6a874ad73feacaca5ec41df7","kind":"state","name":"order","result":"o-1","began":1795262701326193,"ended":1795262701326194,"site":"/app/upgraded.py:61"}',2575002131);
INSERT INTO "journal" VALUES(0,'01a1fdfedeff2820a93b6bfe772da478',6,1795262701336841,'{"type":"fired","n":0,"due":1795262701336238,"label":"sleep","site":"/app/upgraded.py:62"}',347876669);
INSERT INTO "journal" VALUES(0,'01a1fdfedeff2820a93b6bfe772da478',7,1795262701337493,'{"type":"begun","op":3,"key":"c4c47e3c7ac740b96dea8016","kind":"call","name":"child","target":"01a1fdfedeff2f74da9fcb62a688fa4e","args":{"order":"o-1"},"site":"/app/upgraded.py:63"}',2502472382);
INSERT INTO "journal" VALUES(0,'01a1fdfedeff2820a93b6bfe772da478',8,1795262701338397,'{"type":"outcome","op":4,"key":"349b1a897d90945c13131803","kind":"step","name":"ship","args":{"order":"a gift"},"result":"shipped a gift","began":1795262701337426,"ended":1795262701338147,"site":"/app/upgraded.py:63"}',1884054080);
INSERT INTO "journal" VALUES(0,'01a1fdfedeff2820a93b6bfe772da478',9,1795262701339180,'{"type":"outcome","op":3,"key":"c4c47e3c7ac740b96dea8016","kind":"call","name":"child","target":"01a1fdfedeff2f74da9fcb62a688fa4e","result":"shipped o-1"}',343621559);
INSERT INTO "journal" VALUES(0,'01a1fdfedeff2f74da9fcb62a688fa4e',0,1795262701337493,'{"type":"started","component":"child","input":{"order":"o-1"}}',1949733275);
INSERT INTO "journal" VALUES(0,'01a1fdfedeff2f74da9fcb62a688fa4e',1,1795262701338767,'{"type":"outcome","op":0,"key":"baf8f81362d378b4a7b7c7bd","kind":"step","name":"ship","args":{"order":"o-1"},"result":"shipped o-1","began":1795262701338121,"ended":1795262701338534,"site":"/app/upgraded.py:53"}',4048685239);
INSERT INTO "journal" VALUES(0,'01a1fdfedeff2f74da9fcb62a688fa4e',2,1795262701339180,'{"type":"ended","status":"completed","result":"shipped o-1"}',16323951);
INSERT INTO "journal" VALUES(0,'01a1fdfedf01b793e6e6a7205dc0b871',0,1795262701313633,'{"type":"started","component":"working","input":{"order":"o-2"}}',3012491952);
INSERT INTO "journal" VALUES(0,'01a1fdfedf01b793e6e6a7205dc0b871',1,1795262701314494,'{"type":"outcome","op":0,"key":"88bd0d091c4c9b16b284547c","kind":"step","name":"price","args":{"order":"o-2"},"result":{"amount":{"$decimal":"12.50"},"due":{"$date":"2024-02-29"},"tags":{"$set":["new"]}},"began":1795262701314135,"ended":1795262701314450,"site":"/app/upgraded.py:74"}',3920491088);
INSERT INTO "journal" VALUES(0,'01a1fdfedf0242e3d764583f9166d549',0,1795262701314494,'{"type":"started","component":"child","input":{"order":"o-3"}}',3728693520);
CREATE TABLE meta (
    name TEXT PRIMARY KEY,
    value TEXT NOT NULL
) WITHOUT ROWID;
INSERT INTO "meta" VALUES('created_at','1795262701307014');
INSERT INTO "meta" VALUES('owner','open');
INSERT INTO "meta" VALUES('partitions','1');
INSERT INTO "meta" VALUES('store_id','90201c3ba0e445e5a5e58bf5899db4d3');
CREATE TABLE runs (
    partition INTEGER NOT NULL,
    id TEXT NOT NULL,
    component TEXT NOT NULL,
    status TEXT NOT NULL,
    epoch INTEGER NOT NULL,             
    attempt INTEGER NOT NULL,
    generation INTEGER NOT NULL,
    life INTEGER NOT NULL,              
    created_at INTEGER NOT NULL,
    started_at INTEGER NOT NULL,        
    ended_at INTEGER NOT NULL,          
    wake_at INTEGER,                    
    parent TEXT,
    link TEXT,                          
    origin TEXT,                        
    awaited INTEGER NOT NULL,           
    tags TEXT,                          
    idempotency_key TEXT,
    code TEXT NOT NULL,                 
    idempotent INTEGER NOT NULL,
    crashes INTEGER NOT NULL,
    cancel_requested INTEGER NOT NULL,
    waiting TEXT,                       
    PRIMARY KEY (partition, id)
) WITHOUT ROWID;
INSERT INTO "runs" VALUES(0,'01a1fdfedefc07ac3ef31733b2ed4aca','child','completed',1,1,1,1,1795262701309002,1795262701309002,1795262701310770,NULL,NULL,NULL,NULL,0,NULL,NULL,'3f1b1d976804',1,0,0,'{}');
INSERT INTO "runs" VALUES(0,'01a1fdfedeff2820a93b6bfe772da478','waiting','suspended',1,1,1,1,1795262701311409,1795262701311409,0,NULL,NULL,NULL,NULL,0,'["golden"]','o-1','3f1b1d976804',1,0,0,'{"on":[{"kind":"event","name":"approved","site":"/app/upgraded.py:65"}],"since":1795262701339716}');
INSERT INTO "runs" VALUES(0,'01a1fdfedeff2f74da9fcb62a688fa4e','child','completed',1,1,1,1,1795262701337493,1795262701337493,1795262701339180,NULL,'01a1fdfedeff2820a93b6bfe772da478','{"run":"01a1fdfedeff2820a93b6bfe772da478","op":3,"key":"c4c47e3c7ac740b96dea8016","life":1,"called":true}',NULL,0,NULL,NULL,'3f1b1d976804',1,0,0,'{}');
INSERT INTO "runs" VALUES(0,'01a1fdfedf01b793e6e6a7205dc0b871','working','running',1,1,1,1,1795262701313633,1795262701313633,0,NULL,NULL,NULL,NULL,0,NULL,NULL,'3f1b1d976804',1,0,0,NULL);
INSERT INTO "runs" VALUES(0,'01a1fdfedf0242e3d764583f9166d549','child','queued',0,1,1,1,1795262701314494,0,0,4948862701314211,NULL,NULL,NULL,0,NULL,NULL,'',1,0,0,NULL);
CREATE TABLE waiters (
    partition INTEGER NOT NULL,
    target TEXT NOT NULL,               
    run_id TEXT NOT NULL,
    life INTEGER NOT NULL,
    op INTEGER NOT NULL,
    key TEXT NOT NULL,
    scope TEXT NOT NULL,
    PRIMARY KEY (partition, target, run_id, key)
) WITHOUT ROWID;
INSERT INTO "waiters" VALUES(0,'event:approved','01a1fdfedeff2820a93b6bfe772da478',1,5,'3d0c11fc35dda4b735a3381f','');
CREATE INDEX runs_open ON runs (partition, status, component, id) WHERE status IN ('queued', 'running', 'blocked');
CREATE INDEX runs_wake ON runs (partition, wake_at) WHERE wake_at IS NOT NULL;
CREATE INDEX runs_parent ON runs (partition, parent) WHERE parent IS NOT NULL;
COMMIT;
