// Package mail says what is stored: the records, their one valid encoding,
// their place in the tree of a log, and what a set of records means.
//
// # Records
//
// A record is written once and never edited. [Message] is a Markdown file with
// a JSON head; everything else is an event, a JSON file. Each has a [Header].
// [Encode] and [Decode] are exact inverses: whatever Decode accepts, Encode
// gives back byte for byte, so a record has one encoding and can be compared by
// its bytes.
//
// # Meaning
//
// [State] is the fold of a set of records. Order and repetition of arrival make
// no difference to it, so the logs of many clones need no merge.
//
// # Compatibility
//
// Keys that this version does not know are kept. An event of an unknown kind,
// or with a greater v, decodes to [Unknown] and is kept as it is. The format is
// described in doc/FORMAT.md.
package mail
