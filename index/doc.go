// Package index keeps what the records of the logs mean in one SQLite file, so that
// lists and searches need not read the mailbox. It is fed records and knows no git.
//
// The file is a pure function of the records: it may be deleted at any moment, and
// whatever is wrong with it, the answer is to build another. Nobody repairs it, and
// nothing durable is in it. Which records it holds, says the version that was stored
// in the same transaction.
//
// The guard and the senders never open it.
package index
