package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"strconv"

	"github.com/git-agentmail/git-agentmail/gitstore"
	"github.com/git-agentmail/git-agentmail/mailbox"
)

// childFlag makes this program do one thing in the working directory and end, so
// that the cost of the thing is that of a process.
const childFlag = "-child"

func child(args []string) int {
	ctx := context.Background()
	var err error
	switch {
	case len(args) == 1 && args[0] == "read":
		err = childRead(ctx)
	case len(args) == 4 && args[0] == "send":
		err = childSend(ctx, args[1], args[2], args[3])
	default:
		err = fmt.Errorf("nothing is called %q", args)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

// childRead reads everything, as a rebuild of the index does.
func childRead(ctx context.Context) error {
	repo, err := gitstore.Find(ctx, ".", os.Environ())
	if err != nil {
		return err
	}
	s := gitstore.Open(repo, gitstore.Options{})
	defer s.Close()
	sn, err := s.Snapshot(ctx)
	if err != nil {
		return err
	}
	files, bytes := 0, 0
	_, err = sn.WalkSince(ctx, "", func(f gitstore.File) error {
		files++
		bytes += len(f.Data)
		return nil
	})
	fmt.Println(files, bytes)
	return err
}

// childSend sends several messages.
func childSend(ctx context.Context, from, to, count string) error {
	n, err := strconv.Atoi(count)
	if err != nil {
		return err
	}
	box, err := mailbox.Open(ctx, mailbox.Options{})
	if err != nil {
		return err
	}
	defer box.Close()
	me, err := box.As(ctx, from)
	if err != nil {
		return err
	}
	for range n {
		if _, err := box.Send(ctx, me, mailbox.Draft{To: []string{to}, Subject: "crowd", Body: letter}); err != nil {
			return err
		}
	}
	return nil
}

// child runs this program as one of the above.
func (b *bench) child(dir string, args ...string) *exec.Cmd {
	return b.cmd(dir, b.self, append([]string{childFlag}, args...)...)
}
