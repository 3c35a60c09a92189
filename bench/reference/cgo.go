//go:build cgo

package main

import (
	"database/sql"

	_ "github.com/mattn/go-sqlite3" // with the tag sqlite_fts5
)

const engine = "mattn"

func connect(file string) (*sql.DB, error) {
	return sql.Open("sqlite3", "file:"+file+"?_busy_timeout=5000&_synchronous=NORMAL")
}
