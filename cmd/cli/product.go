package cli

import (
	"context"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/git-agentmail/git-agentmail/mail"
	"github.com/git-agentmail/git-agentmail/mailbox"
	"github.com/spf13/cobra"
)

func newProduct(a *app) *cobra.Command {
	return group(a, &cobra.Command{
		Use:   "product",
		Short: "read the mail of several repositories together",
		Long: `A product is a named set of repositories on this machine: a front end and its
back end, say. It is named by its uid or its exact name. That a repository belongs
to one is recorded in its own mailbox.`,
	}, newProductEnsure(a), newProductLink(a), newProductStatus(a), newProductSearch(a), newProductInbox(a), newProductSummarize(a))
}

// projects are the repositories of this machine.
func (a *app) projects() *mailbox.Projects {
	return mailbox.NewProjects(mailbox.Options{Environ: a.std.Env, Now: a.std.Now, Report: a.note, Digest: a.std.Digest})
}

// withProjects runs a verb about several repositories, which needs none to start in.
func (a *app) withProjects(cmd *cobra.Command, fn func(context.Context, *mailbox.Projects) error) error {
	p := a.projects()
	defer p.Close()
	return fn(cmd.Context(), p)
}

func newProductEnsure(a *app) *cobra.Command {
	var uid string
	cmd := &cobra.Command{
		Use:     "ensure NAME",
		Short:   "find or make a product",
		Example: `  git agentmail product ensure shop`,
		Args:    oneArg("the name of a product"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if cmd.Flags().Changed("uid") && !mail.IsProductUID(strings.ToLower(uid)) {
				return mail.Errorf(mail.Invalid, "%q is no uid, which is 8 to 64 hexadecimal digits", uid)
			}
			return a.withProjects(cmd, func(ctx context.Context, p *mailbox.Projects) error {
				r, err := p.EnsureProduct(ctx, uid, args[0])
				if err != nil {
					return err
				}
				return a.answer(r, func(w *strings.Builder) { w.WriteString(r.ProductUID + "\n") })
			})
		},
	}
	cmd.Flags().Var(wordFlag{&uid, "HEX"}, "uid", "find it by this uid, or give it that")
	return cmd
}

func newProductLink(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "link PRODUCT [PROJECT]",
		Short: "make a repository part of a product",
		Long: `Makes this repository, or the one that you name, part of a product. A project is
named by a path in it, its slug or its id.`,
		Example: `  git agentmail product link shop
  git agentmail product link shop ../backend`,
		Args: argsBetween(1, 2, "a product"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.withProjects(cmd, func(ctx context.Context, p *mailbox.Projects) error {
				project := ""
				if len(args) > 1 {
					project = projectKey(args[1])
				}
				b, release, err := p.Open(ctx, project)
				if err != nil {
					return err
				}
				defer release()
				who, err := a.who(ctx, b)
				if err != nil {
					return err
				}
				r, err := p.LinkProduct(ctx, args[0], b, who)
				if err != nil {
					return err
				}
				return a.answer(r, func(w *strings.Builder) {
					fields(w, "product", escape(r.Product.Name), "uid", r.Product.ProductUID, "project", escape(r.Project.HumanKey))
				})
			})
		},
	}
}

// projectKey makes a path absolute that is there; anything else is a slug or an id.
func projectKey(arg string) string {
	if _, err := os.Stat(arg); err == nil {
		if abs, err := filepath.Abs(arg); err == nil {
			return abs
		}
	}
	return arg
}

func newProductStatus(a *app) *cobra.Command {
	return &cobra.Command{
		Use:     "status PRODUCT",
		Short:   "say what belongs to a product",
		Example: `  git agentmail product status shop --json`,
		Args:    oneArg("a product"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.withProjects(cmd, func(ctx context.Context, p *mailbox.Projects) error {
				r, err := p.Product(ctx, args[0])
				if err != nil {
					return err
				}
				return a.answer(r, func(w *strings.Builder) {
					fields(w, "product", escape(r.Name), "uid", r.ProductUID, "since", utc(r.CreatedAt), "projects", strconv.Itoa(len(r.Projects)))
					t := table{head: []string{"ID", "PATH"}, full: true}
					for _, row := range r.Projects {
						t.add(row.ID[:10], row.HumanKey)
					}
					if len(r.Projects) > 0 {
						w.WriteString("\n")
					}
					t.write(w, a.out)
				})
			})
		},
	}
}

func newProductSearch(a *app) *cobra.Command {
	var q mailbox.SearchQuery
	cmd := &cobra.Command{
		Use:     "search PRODUCT QUERY",
		Short:   "find messages in all its repositories",
		Long:    `Finds messages by their words, newest first. See "git agentmail help search".`,
		Example: `  git agentmail product search shop 'verify_token'`,
		Args:    argsBetween(2, 1<<20, "a product and what to search for"),
		RunE: func(cmd *cobra.Command, args []string) error {
			q.Query = strings.Join(args[1:], " ")
			return a.withProjects(cmd, func(ctx context.Context, p *mailbox.Projects) error {
				hits, err := p.SearchProduct(ctx, args[0], q)
				if err != nil {
					return err
				}
				if len(hits) == 0 && !a.json {
					a.say("nothing found")
				}
				return a.answer(list(hits), func(w *strings.Builder) {
					for _, h := range hits {
						w.WriteString(escape(h.ID) + "  " + a.when(h.CreatedTS) + "  " + short(h.From, 24) + "  " + a.marked(h.Subject, h.SubjectHits) + "\n" +
							"in " + escape(h.Project) + "\n")
						if h.Snippet != "" {
							w.WriteString(bodyLine + a.marked(h.Snippet, h.Hits) + "\n")
						}
					}
				})
			})
		},
	}
	cmd.Flags().VarP(countFlag{&q.N}, "limit", "n", "show at most this many (default "+strconv.Itoa(mailbox.DefaultLimit)+")")
	return cmd
}

func newProductInbox(a *app) *cobra.Command {
	var q mailbox.InboxQuery
	cmd := &cobra.Command{
		Use:     "inbox PRODUCT",
		Short:   "list the messages to you in all its repositories",
		Long:    "Lists the messages to you, newest first. Repositories in which you are not\nregistered are left out.",
		Example: `  git agentmail product inbox shop --as BlueLake --urgent`,
		Args:    oneArg("a product"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.withProjects(cmd, func(ctx context.Context, p *mailbox.Projects) error {
				rows, err := p.InboxProduct(ctx, args[0], mailbox.Caller{As: a.as, Ancestors: a.std.Ancestors, Getenv: a.getenv}, q)
				if err != nil {
					return err
				}
				if len(rows) == 0 && !a.json {
					a.say("no messages")
				}
				return a.answer(list(rows), func(w *strings.Builder) { a.writeProductInbox(w, rows) })
			})
		},
	}
	f := cmd.Flags()
	f.BoolVar(&q.Unread, "unread", false, "show only unread ones")
	f.BoolVar(&q.Urgent, "urgent", false, "show only those of high or urgent importance")
	f.Var(sinceFlag{&q.Since, a.std.Now}, "since", "show only newer ones than 2h (ago) or 2026-11-20T10:00Z")
	f.BoolVar(&q.Bodies, "bodies", false, "show the texts too")
	f.VarP(countFlag{&q.N}, "limit", "n", "show at most this many (default "+strconv.Itoa(mailbox.DefaultLimit)+")")
	return cmd
}

// writeProductInbox prints, for each repository, what [app.writeInbox] does.
func (a *app) writeProductInbox(w *strings.Builder, rows []mailbox.ProductRow) {
	var projects []string
	of := map[string][]mailbox.InboxRow{}
	for _, r := range rows {
		if of[r.Project] == nil {
			projects = append(projects, r.Project)
		}
		of[r.Project] = append(of[r.Project], r.InboxRow)
	}
	for i, project := range projects {
		if i > 0 {
			w.WriteString("\n")
		}
		w.WriteString("in " + escape(project) + "\n")
		a.writeInbox(w, of[project])
	}
}

func newProductSummarize(a *app) *cobra.Command {
	var q mailbox.SummaryQuery
	cmd := &cobra.Command{
		Use:   "summarize PRODUCT THREAD",
		Short: "say in short what a thread says in all its repositories",
		Long: `Does what "git agentmail summarize" does, over all messages that the thread has in
the repositories of a product.`,
		Example: `  git agentmail product summarize shop FEAT-123`,
		Args:    argsBetween(2, 2, "a product and the key of a thread"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if a.std.Digest.Summarize == nil {
				return a.handOver()
			}
			return a.withProjects(cmd, func(ctx context.Context, p *mailbox.Projects) error {
				s, err := p.SummarizeProduct(ctx, args[0], args[1], q, false)
				if err != nil {
					return err
				}
				a.notRefined(s.Refinement)
				return a.answer(s, func(w *strings.Builder) { a.writeSummary(w, s.ThreadSummary) })
			})
		},
	}
	f := cmd.Flags()
	f.VarP(countFlag{&q.Messages}, "limit", "n", "read at most this many messages, the newest (default "+strconv.Itoa(mailbox.DefaultSummaryMessages)+")")
	f.Var(countFlag{&q.Tokens}, "tokens", "drop what matters least until all fits into this many, of four bytes each")
	f.BoolVar(&q.Refine, "refine", false, "let a language model word it, if one is configured")
	return cmd
}
