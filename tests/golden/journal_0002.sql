-- A journal as version 0.1.0 left it (schema 2), with runs in flight. Read by tests/e2e/test_upgrade.py.
PRAGMA application_id = 1634168373;
PRAGMA user_version = 2;
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
INSERT INTO "idempotency_keys" VALUES(0,'waiting','o-1','01a1fe064a9fc34ca176a9af2dd655be','349b6616626e06fcc64e98411b40d801');
CREATE TABLE journal (
    partition INTEGER NOT NULL,
    run_id TEXT NOT NULL,
    position INTEGER NOT NULL,
    at INTEGER NOT NULL,
    body TEXT NOT NULL,                 
    checksum INTEGER NOT NULL,          
    PRIMARY KEY (partition, run_id, position)
) WITHOUT ROWID;
INSERT INTO "journal" VALUES(0,'01a1fe064a939dd71fccdf1ea3604308',0,1795263187603692,'{"type":"started","component":"child","input":{"order":"ended"}}',4160979801);
INSERT INTO "journal" VALUES(0,'01a1fe064a939dd71fccdf1ea3604308',1,1795263187609221,'{"type":"outcome","op":0,"key":"5d0ebd4a967de5e4e30ef0a2","kind":"step","name":"ship","args":{"order":"ended"},"result":"shipped ended","began":1795263187606416,"ended":1795263187609138,"site":"tests/e2e/programs/upgraded.py:53"}',2800554442);
INSERT INTO "journal" VALUES(0,'01a1fe064a939dd71fccdf1ea3604308',2,1795263187614199,'{"type":"ended","status":"completed","result":"shipped ended"}',2400998760);
INSERT INTO "journal" VALUES(0,'01a1fe064a9f0394045b99bba172638a',0,1795263187669470,'{"type":"started","component":"child","input":{"order":"o-1"}}',1949733275);
INSERT INTO "journal" VALUES(0,'01a1fe064a9f0394045b99bba172638a',1,1795263187682112,'{"type":"outcome","op":0,"key":"baf8f81362d378b4a7b7c7bd","kind":"step","name":"ship","args":{"order":"o-1"},"result":"shipped o-1","began":1795263187674371,"ended":1795263187678227,"site":"tests/e2e/programs/upgraded.py:53"}',1833448199);
INSERT INTO "journal" VALUES(0,'01a1fe064a9f0394045b99bba172638a',2,1795263187684758,'{"type":"ended","status":"completed","result":"shipped o-1"}',16323951);
INSERT INTO "journal" VALUES(0,'01a1fe064a9fc34ca176a9af2dd655be',0,1795263187617933,'{"type":"started","component":"waiting","input":{"order":"o-1"}}',2091978725);
INSERT INTO "journal" VALUES(0,'01a1fe064a9fc34ca176a9af2dd655be',1,1795263187634492,'{"type":"signal","name":"word","payload":"hello"}',1819958697);
INSERT INTO "journal" VALUES(0,'01a1fe064a9fc34ca176a9af2dd655be',2,1795263187634492,'{"type":"outcome","op":0,"key":"86810c1cc74967a3f8ee7bd2","kind":"step","name":"price","args":{"order":"o-1"},"result":{"amount":{"$decimal":"12.50"},"due":{"$date":"2024-02-29"},"tags":{"$set":["new"]}},"began":1795263187622478,"ended":1795263187634229,"site":"tests/e2e/programs/upgraded.py:59"}',2071051361);
INSERT INTO "journal" VALUES(0,'01a1fe064a9fc34ca176a9af2dd655be',3,1795263187641941,'{"type":"retrying","op":1,"key":"a37418eea5e0c8f07cdb80bc","name":"flaky","attempt":1,"began":1795263187638412,"ended":1795263187639024,"retry_at":1795263187649905,"error":{"type":"builtins:ConnectionError","message":"the first attempt","data":{"args":["the first attempt"]},"traceback":"Traceback (most recent call last):\n  File \"tests/e2e/programs/upgraded.py\", line 35, in flaky\n    raise ConnectionError(\"the first attempt\")\nConnectionError: the first attempt\n"},"args":{},"site":"tests/e2e/programs/upgraded.py:60"}',806971139);
INSERT INTO "journal" VALUES(0,'01a1fe064a9fc34ca176a9af2dd655be',4,1795263187654035,'{"type":"outcome","op":1,"key":"a37418eea5e0c8f07cdb80bc","kind":"step","name":"flaky","args":{},"result":2,"attempt":2,"began":1795263187650416,"ended":1795263187653973,"site":"tests/e2e/programs/upgraded.py:60"}',1236156317);
INSERT INTO "journal" VALUES(0,'01a1fe064a9fc34ca176a9af2dd655be',5,1795263187658233,'{"type":"outcome","op":2,"key":"6a874ad73feacaca5ec41df7","kind":"state","name":"order","result":"o-1","began":1795263187658139,"ended":1795263187658140,"site":"tests/e2e/programs/upgraded.py:61"}',3380132767);
INSERT INTO "journal" VALUES(0,'01a1fe064a9fc34ca176a9af2dd655be',6,1795263187668441,'{"type":"fired","n":0,"due":1795263187668233,"label":"sleep","site":"tests/e2e/programs/upgraded.py:62"}',360985189);
INSERT INTO "journal" VALUES(0,'01a1fe064a9fc34ca176a9af2dd655be',7,1795263187669470,'{"type":"begun","op":3,"key":"c4c47e3c7ac740b96dea8016","kind":"call","name":"child","target":"01a1fe064a9f0394045b99bba172638a","args":{"order":"o-1"},"site":"tests/e2e/programs/upgraded.py:63"}',3108957787);
INSERT INTO "journal" VALUES(0,'01a1fe064a9fc34ca176a9af2dd655be',8,1795263187678006,'{"type":"outcome","op":4,"key":"349b1a897d90945c13131803","kind":"step","name":"ship","args":{"order":"a gift"},"result":"shipped a gift","began":1795263187669375,"ended":1795263187674411,"site":"tests/e2e/programs/upgraded.py:63"}',3409506620);
INSERT INTO "journal" VALUES(0,'01a1fe064a9fc34ca176a9af2dd655be',9,1795263187684758,'{"type":"outcome","op":3,"key":"c4c47e3c7ac740b96dea8016","kind":"call","name":"child","target":"01a1fe064a9f0394045b99bba172638a","result":"shipped o-1"}',4017596098);
INSERT INTO "journal" VALUES(0,'01a1fe064ab63bdea0c34254bb750112',0,1795263187641941,'{"type":"started","component":"working","input":{"order":"o-2"}}',3012491952);
INSERT INTO "journal" VALUES(0,'01a1fe064ab63bdea0c34254bb750112',1,1795263187646766,'{"type":"outcome","op":0,"key":"88bd0d091c4c9b16b284547c","kind":"step","name":"price","args":{"order":"o-2"},"result":{"amount":{"$decimal":"12.50"},"due":{"$date":"2024-02-29"},"tags":{"$set":["new"]}},"began":1795263187646232,"ended":1795263187646719,"site":"tests/e2e/programs/upgraded.py:74"}',1223359948);
INSERT INTO "journal" VALUES(0,'01a1fe064abe56edf058db3b5a7bafcc',0,1795263187646766,'{"type":"started","component":"child","input":{"order":"o-3"}}',3728693520);
CREATE TABLE meta (
    name TEXT PRIMARY KEY,
    value TEXT NOT NULL
) WITHOUT ROWID;
INSERT INTO "meta" VALUES('created_at','1795263187590055');
INSERT INTO "meta" VALUES('owner','open');
INSERT INTO "meta" VALUES('partitions','1');
INSERT INTO "meta" VALUES('store_id','8abf8582a7bb4f4b9d4975d8ab5ebc5d');
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
INSERT INTO "runs" VALUES(0,'01a1fe064a939dd71fccdf1ea3604308','child','completed',1,1,1,1,1795263187603692,1795263187603692,1795263187614199,NULL,NULL,NULL,NULL,0,NULL,NULL,'3f1b1d976804',1,0,0,'{}');
INSERT INTO "runs" VALUES(0,'01a1fe064a9f0394045b99bba172638a','child','completed',1,1,1,1,1795263187669470,1795263187669470,1795263187684758,NULL,'01a1fe064a9fc34ca176a9af2dd655be','{"run":"01a1fe064a9fc34ca176a9af2dd655be","op":3,"key":"c4c47e3c7ac740b96dea8016","life":1,"called":true}',NULL,0,NULL,NULL,'3f1b1d976804',1,0,0,'{}');
INSERT INTO "runs" VALUES(0,'01a1fe064a9fc34ca176a9af2dd655be','waiting','suspended',1,1,1,1,1795263187617933,1795263187617933,0,NULL,NULL,NULL,NULL,0,'["golden"]','o-1','3f1b1d976804',1,0,0,'{"on":[{"kind":"event","name":"approved","site":"tests/e2e/programs/upgraded.py:65"}],"since":1795263187690180}');
INSERT INTO "runs" VALUES(0,'01a1fe064ab63bdea0c34254bb750112','working','running',1,1,1,1,1795263187641941,1795263187641941,0,NULL,NULL,NULL,NULL,0,NULL,NULL,'3f1b1d976804',1,0,0,NULL);
INSERT INTO "runs" VALUES(0,'01a1fe064abe56edf058db3b5a7bafcc','child','queued',0,1,1,1,1795263187646766,0,0,4948863187646346,NULL,NULL,NULL,0,NULL,NULL,'',1,0,0,NULL);
CREATE TABLE waiters (
    partition INTEGER NOT NULL,
    target TEXT NOT NULL,               
    run_id TEXT NOT NULL,
    life INTEGER NOT NULL,
    op INTEGER NOT NULL,
    key TEXT NOT NULL,
    scope TEXT NOT NULL, site TEXT NOT NULL DEFAULT '',
    PRIMARY KEY (partition, target, run_id, key)
) WITHOUT ROWID;
INSERT INTO "waiters" VALUES(0,'event:approved','01a1fe064a9fc34ca176a9af2dd655be',1,5,'3d0c11fc35dda4b735a3381f','','tests/e2e/programs/upgraded.py:65');
CREATE INDEX runs_open ON runs (partition, status, component, id) WHERE status IN ('queued', 'running', 'blocked');
CREATE INDEX runs_wake ON runs (partition, wake_at) WHERE wake_at IS NOT NULL;
CREATE INDEX runs_parent ON runs (partition, parent) WHERE parent IS NOT NULL;
COMMIT;
