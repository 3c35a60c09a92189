//go:build !cgo

package main

import (
	"database/sql"

	"github.com/ncruces/go-sqlite3/driver"
	"github.com/ncruces/go-sqlite3/ext/fts5"
)

const engine = "ncruces"

func connect(file string) (*sql.DB, error) {
	return driver.Open("file:"+file+"?_pragma=busy_timeout(5000)&_pragma=synchronous(normal)", fts5.Register)
}
