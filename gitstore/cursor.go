package gitstore

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// Cursor says how far a reader of this clone has come.
type Cursor struct {
	Version Version         // it is through with everything up to here
	Done    map[string]bool // and, of what came after, with these
}

// The files of the cursors lie in a directory of their own, by name. Like the other
// files of the store they are lines of words:
//
//	git-agentmail cursor 1
//	log <replica> <tip>
//	end
//	done <what>
//
// A line of the last kind, whose text is quoted as in Go, is added with each thing that
// is done, and need not be whole; up to "end" the file is replaced in one step.
const (
	cursorsDir  = "cursors"
	cursorMagic = "git-agentmail cursor 1"
	cursorEnd   = "end"
)

// Cursor returns what SaveCursor and CursorDone have left under name; ok is false
// if that is nothing.
func (s *Store) Cursor(name string) (c Cursor, ok bool, err error) {
	// Saving asks git about modes. By then somebody waits for it, now nobody does.
	go s.repo.sharing()
	file := s.repo.dir(cursorsDir, name)
	data, err := os.ReadFile(file)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return c, false, nil
	case err != nil:
		return c, false, errf(ReadOnly, "read %q: %w", file, err)
	}
	c, ok = parseCursor(string(data))
	if !ok {
		return c, false, errf(Damaged, "%q does not say how far its reader had come", file)
	}
	return c, true, nil
}

func parseCursor(s string) (c Cursor, ok bool) {
	first, s, _ := strings.Cut(s, "\n")
	if first != cursorMagic {
		return c, false
	}
	c.Done = map[string]bool{}
	logs := map[string]*tip{}
	for line, whole := "", true; ; {
		if line, s, whole = strings.Cut(s, "\n"); !whole {
			break // the end, or the beginning of a line
		}
		w := strings.Split(line, " ")
		done, isDone := strings.CutPrefix(line, "done ")
		switch {
		case !ok && len(w) == 3 && w[0] == "log" && isReplica(w[1]) && isOID(w[2]):
			logs[w[1]] = &tip{OID: w[2]}
		case !ok && line == cursorEnd:
			ok = true
		case !ok:
			return c, false
		case isDone:
			if what, err := strconv.Unquote(done); err == nil {
				c.Done[what] = true
			}
		}
	}
	c.Version = makeVersion(logs)
	return c, ok
}

// SaveCursor replaces the cursor under name by one that is through with everything
// in a version. It survives a power cut. Where there is no mailbox, or an uninstall
// has just removed it, nothing is made. A name is of letters, digits and "-".
func (s *Store) SaveCursor(name string, v Version) error {
	b := []byte(cursorMagic + "\n")
	for f := range strings.FieldsSeq(string(v)) {
		replica, oid, _ := strings.Cut(f, "=")
		b = fmt.Appendf(b, "log %s %s\n", replica, oid)
	}
	b = append(b, cursorEnd+"\n"...)
	file, sh := s.repo.dir(cursorsDir, name), s.repo.sharing()
	err := os.Mkdir(filepath.Dir(file), 0o777)
	if err == nil {
		err = sh.apply(filepath.Dir(file))
	} else if errors.Is(err, fs.ErrExist) {
		err = nil
	}
	if err == nil {
		err = sh.replace(filepath.Dir(file), file, b, true)
	}
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return s.repo.writeError("save how far "+name+" has come", err)
	}
	sweep(filepath.Dir(file), file)
	return nil
}

// CursorDone adds something that came after its version, such as a path, to what the
// cursor under name is through with. Where there is no such cursor it does nothing.
func (s *Store) CursorDone(name, what string) error {
	f, err := os.OpenFile(s.repo.dir(cursorsDir, name), os.O_APPEND|os.O_WRONLY, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err == nil {
		_, err = fmt.Fprintf(f, "done %q\n", what)
		err = errors.Join(err, f.Close())
	}
	if err != nil {
		return s.repo.writeError("save how far "+name+" has come", err)
	}
	return nil
}

// sweep removes what killed processes have left in dir. Ages are by the clock of the
// file system, whose newest reading is when we wrote the file new.
func sweep(dir, newest string) {
	now, err := os.Stat(newest)
	list, _ := filepath.Glob(filepath.Join(globEscape(dir), tempPrefix+"*"))
	for _, name := range list {
		if st, serr := os.Stat(name); err == nil && serr == nil && now.ModTime().Sub(st.ModTime()) > time.Hour {
			os.Remove(name)
		}
	}
}
