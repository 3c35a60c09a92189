package index

import (
	"strings"
	"time"

	"github.com/git-agentmail/git-agentmail/mail"
)

// schemaVersion changes with every change of the schema or of what is put into it.
// A file of another version is built anew.
const schemaVersion = 5

// What is in the tables, beside what their names say:
//
// Logs, agents and threads are numbered, for their names stand in many rows. Order is the
// order of the log: stamp (ms, c), then id. The letter table holds one row for each
// recipient of a message, with what that one has done; receipts that belong to no
// letter, or not yet, wait in receipt. contested holds the ids of messages of which the
// logs have copies that differ, which only damage or malice makes. late lists the
// messages that arrived after newer ones: for all others the order of n is the order
// of the log. The path of an event is its directory, with a slash at the end, where the
// rest of it follows from its time and id. gone lists the messages that were redacted, also
// those that are not here (yet); of those that are, and of those that a deleted agent sent,
// only the row in message is left, without what it said.
//
// Bodies are not here: they are read from the logs. Of the words, those of the body come
// first: FTS5 notes the column of every hit but of those in the first, which would make
// the list of words a third longer.
const schema = `
CREATE TABLE meta(k TEXT PRIMARY KEY, v) WITHOUT ROWID;

CREATE TABLE agent(n INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, active INT NOT NULL DEFAULT 0, home TEXT NOT NULL DEFAULT '', gone INT NOT NULL DEFAULT 0, profile BLOB);

CREATE TABLE log(n INTEGER PRIMARY KEY, replica TEXT NOT NULL UNIQUE);

CREATE TABLE thread(n INTEGER PRIMARY KEY, key TEXT NOT NULL UNIQUE);

CREATE TABLE message(n INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, log INT NOT NULL, oid BLOB NOT NULL,
  ms INT NOT NULL, c INT NOT NULL, at INT NOT NULL, sender INT NOT NULL, thread INT, reply TEXT, topic TEXT,
  imp INT NOT NULL, ack INT NOT NULL, subject TEXT NOT NULL, people TEXT NOT NULL, files BLOB, gone INT NOT NULL DEFAULT 0);
CREATE TABLE gone(id TEXT PRIMARY KEY) WITHOUT ROWID;
CREATE TABLE late(n INTEGER PRIMARY KEY);
CREATE TABLE contested(id TEXT PRIMARY KEY) WITHOUT ROWID;

CREATE TABLE letter(agent INT, ms INT, c INT, msg INT, kind INT NOT NULL, urgent INT NOT NULL, ack INT NOT NULL, read_at INT, ack_at INT,
  PRIMARY KEY(agent, ms, c, msg)) WITHOUT ROWID;
CREATE TABLE receipt(msg TEXT, agent INT, read_at INT, ack_at INT, PRIMARY KEY(msg, agent)) WITHOUT ROWID;

CREATE TABLE lease(id TEXT PRIMARY KEY, state BLOB NOT NULL) WITHOUT ROWID;

CREATE TABLE event(n INTEGER PRIMARY KEY, ms INT NOT NULL, c INT NOT NULL, id TEXT NOT NULL, path TEXT NOT NULL, oid BLOB NOT NULL,
  log INT NOT NULL, by INT NOT NULL);
CREATE INDEX event_order ON event(ms, c, id);
CREATE TABLE touched(what TEXT, pattern INT, ms INT, c INT, id TEXT, PRIMARY KEY(what, pattern, ms, c, id)) WITHOUT ROWID;

CREATE TABLE damaged(replica TEXT, path TEXT, why TEXT NOT NULL, PRIMARY KEY(replica, path)) WITHOUT ROWID;

CREATE VIRTUAL TABLE words USING fts5(body, subject, ident, content='', contentless_delete=1, tokenize='unicode61 remove_diacritics 2');
INSERT INTO words(words, rank) VALUES('rank', 'bm25(1.0, 4.0, 1.5)');
`

// indexes are made last where an index is built as a whole: to sort once is less work than
// to find the place of each row.
const indexes = `
CREATE INDEX message_order ON message(ms, c);
CREATE INDEX message_sender ON message(sender, ms, c);
CREATE INDEX message_thread ON message(thread) WHERE thread IS NOT NULL;
CREATE INDEX message_topic ON message(topic COLLATE NOCASE, ms, c) WHERE topic IS NOT NULL;
CREATE INDEX letter_unread ON letter(agent, ms, c) WHERE read_at IS NULL;
CREATE INDEX letter_unacked ON letter(agent, ms, c) WHERE ack = 1 AND ack_at IS NULL;
CREATE INDEX letter_waiting ON letter(ms, c) WHERE ack = 1 AND ack_at IS NULL;
CREATE INDEX letter_urgent ON letter(ms, c) WHERE urgent = 1 AND read_at IS NULL;
CREATE INDEX event_by ON event(by, ms, c);
CREATE INDEX event_id ON event(id);
`

// shorten is what the event table keeps of a path.
func shorten(path string, at place) string {
	dir, _, _ := strings.Cut(path, "/")
	if short := dir + "/"; lengthen(short, at) == path {
		return short
	}
	return path
}

// lengthen returns the path that shorten was given.
func lengthen(path string, at place) string {
	dir, whole := strings.CutSuffix(path, "/")
	if !whole {
		return path
	}
	return mail.Bucket(dir, time.UnixMilli(at.ms)) + at.id + ".json"
}
