package mailbox

import (
	"time"

	"github.com/git-agentmail/git-agentmail/mail"
)

// TS is a time in results: ISO-8601 in UTC with an offset, null when zero.
type TS time.Time

const tsLayout = "2006-01-02T15:04:05.000-07:00"

// MarshalJSON implements json.Marshaler.
func (t TS) MarshalJSON() ([]byte, error) {
	if time.Time(t).IsZero() {
		return []byte("null"), nil
	}
	return []byte(`"` + time.Time(t).UTC().Format(tsLayout) + `"`), nil
}

// UnmarshalJSON implements json.Unmarshaler.
func (t *TS) UnmarshalJSON(data []byte) error { return (*time.Time)(t).UnmarshalJSON(data) }

func ts(t mail.Time) TS {
	if t == 0 {
		return TS{}
	}
	return TS(t.Time())
}

// Time returns t as a time.Time.
func (t TS) Time() time.Time { return time.Time(t) }

// Project names the mailbox: one per repository, whatever the worktree.
type Project struct {
	ID       string `json:"id"`
	Slug     string `json:"slug"`
	HumanKey string `json:"human_key"` // the main work tree, or the git directory of a bare repository
}

// ProjectRow is one line of the list of projects.
type ProjectRow struct {
	Project
	CreatedAt TS `json:"created_at"`
}

// Identity says where a project is, and by what it is known to be the same one elsewhere.
type Identity struct {
	Slug             string            `json:"slug"`
	HumanKey         string            `json:"human_key"`
	IdentityModeUsed string            `json:"identity_mode_used"` // always git-common-dir
	CanonicalPath    string            `json:"canonical_path"`
	RepoRoot         *string           `json:"repo_root"` // of the caller's work tree
	GitCommonDir     string            `json:"git_common_dir"`
	Branch           *string           `json:"branch"`        // null if HEAD is detached
	WorktreeName     *string           `json:"worktree_name"` // null in the main one
	CoreIgnoreCase   bool              `json:"core_ignorecase"`
	NormalizedRemote *string           `json:"normalized_remote"` // host/path of the remote origin
	ProjectUID       string            `json:"project_uid"`
	Discovery        map[string]string `json:"discovery"` // what .agent-mail.yaml says; null without one
}

// EnsuredProject is the answer to Ensure.
type EnsuredProject struct {
	ID        string `json:"id"`
	CreatedAt TS     `json:"created_at"`
	Identity
	Nested Identity `json:"identity"` // the same once more: some clients look there
}

// Agent is an agent's profile as the contract shows it.
type Agent struct {
	ID                string `json:"id"`
	Name              string `json:"name"` // as it is addressed
	Program           string `json:"program"`
	Model             string `json:"model"`
	TaskDescription   string `json:"task_description"`
	InceptionTS       TS     `json:"inception_ts"`
	LastActiveTS      TS     `json:"last_active_ts"`
	ProjectID         string `json:"project_id"`
	AttachmentsPolicy string `json:"attachments_policy"`
	ContactPolicy     string `json:"contact_policy"`
	Local             bool   `json:"local"`            // registered by this clone, which may act as it
	Person            string `json:"person,omitempty"` // the name of the person it stands for

	// Set by registration alone.
	RequestedName     string `json:"requested_name,omitempty"`     // when the name asked for was replaced
	RegistrationToken string `json:"registration_token,omitempty"` // see CheckToken
	WindowID          string `json:"window_id,omitempty"`          // of the window that it was registered in
	WindowName        string `json:"window_display_name,omitempty"`
}

// AgentRow is one line of the directory.
type AgentRow struct {
	Agent
	Unread       int `json:"unread_count"`
	Reservations int `json:"reservations"`
}

// Commit is a commit of the mailbox as whois shows it.
type Commit struct {
	SHA        string `json:"hexsha"`
	Summary    string `json:"summary"`
	AuthoredTS TS     `json:"authored_ts"`
}

// Whois is a profile with what the agent did lately.
type Whois struct {
	AgentRow
	RecentCommits []Commit `json:"recent_commits"` // the mailbox commits attributed to it, newest first
}

// RegisterRequest creates or refreshes an agent.
type RegisterRequest struct {
	Name        string // "" for a generated one
	Program     string
	Model       string
	Task        string
	Attachments string // auto, inline, file; anything else counts as auto
	Here        bool   // make it this worktree's own agent
	Adopt       bool   // take over an agent that another clone registered; there must be one
	Reclaim     bool   // take the name over, if an agent of another clone bears it
	New         bool   // make another agent, and refresh none; a name that is taken is replaced
	Window      string // UUID of the caller's terminal window, which remembers the name; one that is none is passed over

	// What a new agent has where Program or Model is not given. An agent that is refreshed
	// keeps what it has. Empty, they must be given.
	ElseProgram, ElseModel string
}

// DeletedAgent is the answer to DeleteAgent: what is not shown any more.
type DeletedAgent struct {
	AgentID      string `json:"agent_id"`
	AgentName    string `json:"agent_name"`
	Project      string `json:"project"`
	Letters      int    `json:"message_recipients_deleted"` // a letter is a message to one recipient: those it sent and received
	Messages     int    `json:"messages_deleted"`
	Reservations int    `json:"file_reservations_deleted"` // live ones, which ended
}

// PurgeRequest redacts old messages.
type PurgeRequest struct {
	Older  time.Duration // than this; 0 means RETENTION_MAX_AGE_DAYS, or 180 days
	DryRun bool          // only count them
	Reason string
}

// PurgeResult is the answer to Purge.
type PurgeResult struct {
	Status     string `json:"status"` // dry_run or purged
	Messages   int    `json:"messages_affected"`
	CutoffDate TS     `json:"cutoff_date"`
	MaxAgeDays int    `json:"max_age_days"`
}

// TruncateRequest takes what has run out of this clone's log.
type TruncateRequest struct {
	Older    time.Duration // than this; 0 means agentmail.retention
	Redacted bool          // only what was redacted, whatever its age
	DryRun   bool          // only count it
}

// TruncateResult is the answer to Truncate.
type TruncateResult struct {
	Status       string   `json:"status"`      // dry_run, truncated, or nothing
	CutoffDate   TS       `json:"cutoff_date"` // null if only what was redacted
	Messages     int      `json:"messages"`
	Redacted     int      `json:"redacted"` // of them
	Unread       int      `json:"unread"`   // of them, by somebody who it was sent to
	Receipts     int      `json:"receipts"`
	Reservations int      `json:"reservation_events"`
	Events       int      `json:"other_events"`
	Attachments  int      `json:"attachments"`
	Bytes        int64    `json:"bytes"`   // of all that, before it was compressed
	Epoch        int      `json:"epoch"`   // how often this clone's log was truncated
	Waiting      []string `json:"waiting"` // remotes that show the old log, which keep the bytes here until the next sync
}

// Windows are the terminal windows that registered agents.
type Windows struct {
	Identities []Window `json:"identities"`
	Count      int      `json:"count"`
}

// Window is a terminal window that remembers the name of its agent.
type Window struct {
	ID           string `json:"id"`
	UUID         string `json:"window_uuid"`
	DisplayName  string `json:"display_name"`
	CreatedTS    TS     `json:"created_ts"`
	LastActiveTS TS     `json:"last_active_ts"`
	ExpiresTS    TS     `json:"expires_ts"`
	AgeDays      int    `json:"age_days"`
}

// RenamedWindow is the answer to RenameWindow.
type RenamedWindow struct {
	ID             string `json:"id"`
	UUID           string `json:"window_uuid"`
	DisplayName    string `json:"display_name"`
	OldDisplayName string `json:"old_display_name"`
	LastActiveTS   TS     `json:"last_active_ts"`
}

// ExpiredWindow is the answer to ExpireWindow.
type ExpiredWindow struct {
	UUID        string `json:"window_uuid"`
	DisplayName string `json:"display_name"`
	Expired     bool   `json:"expired"`
	ExpiredAt   TS     `json:"expired_at"`
}

// Deregistered is the answer to Deregister.
type Deregistered struct {
	Status     string `json:"status"` // deregistered
	AgentName  string `json:"agent_name"`
	ProjectKey string `json:"project_key"`
}

// Attachment is a file sent with a message.
type Attachment struct {
	Name   string `json:"name"`
	Type   string `json:"type"`
	Size   int64  `json:"size"`
	SHA256 string `json:"sha256"`
	Path   string `json:"path"`            // in the log's tree
	Width  int    `json:"width,omitempty"` // pixels, of an image whose header could be read
	Height int    `json:"height,omitempty"`
}

// Message is a message as the contract shows it.
type Message struct {
	ID          string       `json:"id"`
	ProjectID   string       `json:"project_id"`
	SenderID    string       `json:"sender_id"`
	From        string       `json:"from"`
	FromPerson  string       `json:"from_person,omitempty"` // the person whom From stands for
	To          []string     `json:"to"`
	CC          []string     `json:"cc"`
	BCC         []string     `json:"bcc"` // empty but in the sender's own view
	ThreadID    *string      `json:"thread_id"`
	ReplyTo     *string      `json:"reply_to"`
	Subject     string       `json:"subject"`
	Importance  string       `json:"importance"`
	AckRequired bool         `json:"ack_required"`
	Topic       *string      `json:"topic"`
	CreatedTS   TS           `json:"created_ts"`
	Attachments []Attachment `json:"attachments"`
	BodyMD      *string      `json:"body_md,omitempty"` // nil where it was not asked for
	Redacted    bool         `json:"redacted,omitempty"`
	Receipts    []Receipt    `json:"receipts,omitempty"`

	// Of a message that was sent from another project, in the answer to who sent it.
	FromProject     string `json:"from_project,omitempty"` // human_key
	FromProjectSlug string `json:"from_project_slug,omitempty"`
	FromAddress     string `json:"from_address,omitempty"`
}

// Receipt is what a recipient has done with a message.
type Receipt struct {
	Agent  string `json:"agent"`
	ReadTS TS     `json:"read_ts"`
	AckTS  TS     `json:"ack_ts"`
}

// InboxRow is a message in somebody's inbox. BodyMD is nil unless asked for.
type InboxRow struct {
	ID          string       `json:"id"`
	ProjectID   string       `json:"project_id"`
	SenderID    string       `json:"sender_id"`
	From        string       `json:"from"`
	FromPerson  string       `json:"from_person,omitempty"` // the person whom From stands for
	Kind        string       `json:"kind"`                  // to, cc, bcc
	ThreadID    *string      `json:"thread_id"`
	Topic       *string      `json:"topic"`
	Subject     string       `json:"subject"`
	Importance  string       `json:"importance"`
	AckRequired bool         `json:"ack_required"`
	CreatedTS   TS           `json:"created_ts"`
	ReadTS      TS           `json:"read_ts"`
	AckTS       TS           `json:"ack_ts"`
	Attachments []Attachment `json:"attachments"`
	BodyMD      *string      `json:"body_md,omitempty"`
	For         string       `json:"for,omitempty"` // whose inbox, where a list is about several
}

// InboxQuery says which messages of an inbox to list.
type InboxQuery struct {
	Unread      bool
	Urgent      bool // importance high or urgent
	AckRequired bool // asked for and not yet given
	Since       time.Time
	Topic       string // compared without case
	Bodies      bool
	Page
}

// SearchQuery says what to search for, and where. Names are addresses.
type SearchQuery struct {
	Query      string
	From, To   string
	With       string // who sent or received it
	Since      time.Time
	Until      time.Time
	Thread     string
	Importance string
	Rank       bool // the best first instead of the newest; then there is no Before
	Page
}

// Bit is a yes or no that the contract has as 1 or 0.
type Bit bool

// MarshalJSON implements json.Marshaler.
func (b Bit) MarshalJSON() ([]byte, error) {
	if b {
		return []byte("1"), nil
	}
	return []byte("0"), nil
}

// SearchHit is a message that a search found.
type SearchHit struct {
	ID          string   `json:"id"`
	From        string   `json:"from"`
	To          []string `json:"to"`
	Subject     string   `json:"subject"`
	SubjectHits [][2]int `json:"subject_hits"` // what to mark: ranges of bytes
	Importance  string   `json:"importance"`
	AckRequired Bit      `json:"ack_required"`
	ThreadID    *string  `json:"thread_id"`
	CreatedTS   TS       `json:"created_ts"`
	Snippet     string   `json:"snippet"` // of the body, one line
	Hits        [][2]int `json:"hits"`    // in it
}

// MailboxHit is a message that a ranked search found, as a whole.
type MailboxHit struct {
	Message
	RelevanceScore float64 `json:"relevance_score"` // from 0 to 1, which the best has
	SubjectSnippet string  `json:"subject_snippet"` // what was found stands between <mark> and </mark>
	BodySnippet    string  `json:"body_snippet"`
	InGlobalInbox  bool    `json:"in_global_inbox"` // never: a mailbox is one repository's, and has no such inbox
}

// TopicQuery says which messages on a topic to list. An N of 0 counts as 1 here.
type TopicQuery struct {
	Topic  string // compared without case
	Since  time.Time
	Bodies bool
	Page
}

// Page bounds a list: it picks the newest N. Before is the id of the message, event or
// reservation, or the name of the agent, to go on after, towards older ones. N of 0 means
// the default of 20, and of MaxLimit for agents, contacts and threads, which are mostly
// wanted whole. A greater N than MaxLimit counts as MaxLimit.
type Page struct {
	N      int
	Before string
}

// The bounds of a list.
const (
	DefaultLimit = 20
	MaxLimit     = 1000
)

// Draft is a message to be sent. Names are addresses.
type Draft struct {
	To, CC, BCC    []string
	Subject        string
	Body           string
	Thread         string
	Importance     string // "" means normal
	AckRequired    bool
	Topic          string
	Broadcast      bool // to every agent active within 30 days; To must be empty
	Attach         []AttachFile
	Paths          []string // files to be read and sent along; see attachpath.go for which may be
	WebP           *bool    // whether images get a copy as WebP; nil is as agentmail.images says
	Handshake      bool     // shake hands with whoever takes mail from contacts only, also where agentmail.contacts is strict
	SenderToken    string   // proves who sends; "" proves nothing and is no mistake
	IdempotencyKey string
	ReplyTo        string // set by Reply

	introduce string // told to recipients who are not in contact with the sender, of another project
}

// AttachFile is a file to be sent along.
type AttachFile struct {
	Name string
	Data []byte
}

// ReplyDraft answers a message. An empty To takes the original's sender.
type ReplyDraft struct {
	To, CC, BCC    []string
	Body           string
	SubjectPrefix  string // "" means "Re:"; added once
	IdempotencyKey string

	// As in Draft.
	Paths       []string
	WebP        *bool
	SenderToken string
}

// Delivery is a message in the mailbox of one project.
type Delivery struct {
	Project string  `json:"project"`
	Payload Message `json:"payload"`
}

// SendResult is the answer to Send.
type SendResult struct {
	Deliveries     []Delivery   `json:"deliveries"`
	Count          int          `json:"count"`
	VerifiedSender bool         `json:"verified_sender"`
	Attachments    []Attachment `json:"attachments,omitzero"` // nil unless there is one delivery
	Warnings       []string     `json:"warnings,omitempty"`
}

// ReplyResult is the answer to Reply: the message sent, and the same as Send.
type ReplyResult struct {
	Message
	Deliveries     []Delivery `json:"deliveries"`
	Count          int        `json:"count"`
	VerifiedSender bool       `json:"verified_sender"`
	Warnings       []string   `json:"warnings,omitempty"`
}

// ReadResult is the answer to Read for one message.
type ReadResult struct {
	MessageID string `json:"message_id"`
	Read      bool   `json:"read"`
	ReadAt    TS     `json:"read_at"`
}

// AckResult is the answer to Ack for one message.
type AckResult struct {
	MessageID      string `json:"message_id"`
	Acknowledged   bool   `json:"acknowledged"`
	AcknowledgedAt TS     `json:"acknowledged_at"`
	ReadAt         TS     `json:"read_at"`
}

// ThreadView is a thread, oldest message first.
type ThreadView struct {
	Project  string    `json:"project"`
	ThreadID string    `json:"thread_id"`
	Messages []Message `json:"messages"`
}

// SummaryQuery says how much of what is summarized.
type SummaryQuery struct {
	Messages int      // of each thread the newest are read; 0 means DefaultSummaryMessages
	Threads  int      // of those about a path the newest; 0 means DefaultSummaryThreads
	Tokens   int      // bound of the summaries together, a token being four bytes of JSON; 0 is none
	Examples bool     // show the first messages of a thread that is summarized alone
	Refine   bool     // let a language model word them, if one is configured
	Model    string   // which, if not the one that is configured
	Ask      mail.Ask // a model of the caller's, where none is configured
	Quiet    bool     // say nothing where no model worded them
}

// The bounds of a summary.
const (
	DefaultSummaryMessages = 50
	MaxSummaryMessages     = 500
	DefaultSummaryThreads  = 10
	MaxSummaryThreads      = 100
	summaryExamples        = 3
)

// ThreadSummary is what a thread says, in short.
type ThreadSummary struct {
	ThreadID     string       `json:"thread_id"`
	Summary      mail.Summary `json:"summary"`
	MessagesRead int          `json:"messages_read"` // the newest of summary.total_messages
	Examples     []Example    `json:"examples,omitempty"`
	*Refinement
}

// Example is one of the messages that began a thread.
type Example struct {
	ID        string `json:"id"`
	Subject   string `json:"subject"`
	From      string `json:"from"`
	CreatedTS TS     `json:"created_ts"`
}

// ThreadSummaries is what several threads say.
type ThreadSummaries struct {
	Threads   []ThreadSummary `json:"threads"` // in the order in which they were asked for, each once
	Aggregate mail.Overview   `json:"aggregate"`
	*Refinement
}

// PathSummary is what is going on around a file or directory.
type PathSummary struct {
	Path         string        `json:"path"`
	Reservations []Reservation `json:"reservations"` // live ones that cover it or something in it, newest first
	ThreadSummaries
	More bool `json:"more"` // there are older threads about it
}

// RecentQuery says of what time to make a summary.
type RecentQuery struct {
	Hours    float64  // up to now
	Messages int      // the newest are read; 0 means MaxSummaryMessages
	Refine   bool     // let a language model word it, if one is configured
	Model    string   // which, if not the one that is configured
	Ask      mail.Ask // a model of the caller's, where none is configured
}

// StoredSummary is what was said in a span of time. It is kept in this repository, and
// not in the log: whoever needs it can make it again.
type StoredSummary struct {
	ID           *string  `json:"id"`           // null if it was not stored
	SummaryText  string   `json:"summary_text"` // JSON of a mail.Summary
	StartTS      TS       `json:"start_ts"`
	EndTS        TS       `json:"end_ts"`
	MessageCount int      `json:"source_message_count"`
	ThreadIDs    []string `json:"source_thread_ids"` // that with the newest message first
	LLMModel     *string  `json:"llm_model"`         // that worded it
	CostUSD      *float64 `json:"cost_usd"`          // nobody tells us
	CreatedTS    TS       `json:"created_ts"`
}

// RecentSummary is the answer to SummarizeRecent.
type RecentSummary struct {
	StoredSummary
	Cached bool `json:"cached"` // it was made before
}

// Refinement says whether a language model worded the key points and action items. It is
// nil where none was asked for.
type Refinement struct {
	Refined     bool   `json:"refined"`
	RefineError string `json:"refine_error,omitempty"` // why not; the summary stands without it

	model string // that worded them, if it was not the one that is configured
}

// ReserveRequest asks for reservations of patterns.
type ReserveRequest struct {
	Patterns []string
	TTL      time.Duration // 0 means an hour
	Shared   bool
	Reason   string
	Partial  bool // grant what is free, as MCP does; else all or none
	Strong   bool // in the table of the remote as well, see Box.needTable
}

// Granted is a reservation as the contract shows it.
type Granted struct {
	ID          string `json:"id"`
	PathPattern string `json:"path_pattern"`
	Exclusive   bool   `json:"exclusive"`
	Reason      string `json:"reason"`
	ExpiresTS   TS     `json:"expires_ts"`
	Kind        string `json:"kind"`
	Files       int    `json:"files"` // tracked files covered
	Renewed     bool   `json:"renewed,omitempty"`
	Strong      bool   `json:"strong,omitempty"` // it is to stand in the table of the remote
	Token       int64  `json:"token,omitempty"`  // it does, with this number; a later grant has a greater one
}

// Holder is somebody whose reservation is in the way.
type Holder struct {
	Agent       string `json:"agent"`
	PathPattern string `json:"path_pattern"`
	Exclusive   bool   `json:"exclusive"`
	ExpiresTS   TS     `json:"expires_ts"`
	Witness     string `json:"witness"` // a path that both patterns cover
	ID          string `json:"id"`
	Reason      string `json:"reason"`
}

// PathConflict is one pattern that could not be had.
type PathConflict struct {
	Path    string   `json:"path"`
	Holders []Holder `json:"holders"`
}

// ReserveResult is the answer to Reserve.
type ReserveResult struct {
	Granted   []Granted      `json:"granted"`
	Conflicts []PathConflict `json:"conflicts"`
	Warnings  []string       `json:"warnings,omitempty"`
	Advisory  bool           `json:"-"` // what conflicts was granted all the same
}

// LeaseFilter picks the caller's own live reservations: patterns and ids must
// both hold where both are given; with neither it is all of them.
type LeaseFilter struct {
	Patterns []string
	IDs      []string
	Either   []string // the command line's: each is a pattern in canonical form first, then an id
}

// Renewed is one renewed reservation.
type Renewed struct {
	ID           string `json:"id"`
	PathPattern  string `json:"path_pattern"`
	OldExpiresTS TS     `json:"old_expires_ts"`
	NewExpiresTS TS     `json:"new_expires_ts"`
}

// RenewResult is the answer to Renew.
type RenewResult struct {
	Renewed      int       `json:"renewed"`
	Reservations []Renewed `json:"file_reservations"`
}

// ReleaseResult is the answer to Release.
type ReleaseResult struct {
	Released   int      `json:"released"`
	ReleasedAt TS       `json:"released_at"`
	Patterns   []string `json:"patterns"` // what was released
}

// Reservation is a reservation in lists, with what is known of its holder's
// activity where that was asked for.
type Reservation struct {
	ID             string   `json:"id"`
	Agent          string   `json:"agent"`
	PathPattern    string   `json:"path_pattern"`
	Exclusive      bool     `json:"exclusive"`
	Reason         string   `json:"reason"`
	Kind           string   `json:"kind"`
	Branch         string   `json:"branch,omitempty"`
	Worktree       string   `json:"worktree,omitempty"`
	CreatedTS      TS       `json:"created_ts"`
	ExpiresTS      TS       `json:"expires_ts"`
	ReleasedTS     TS       `json:"released_ts"`
	Ended          string   `json:"ended,omitempty"` // release, force, lost, expired
	Files          int      `json:"files"`           // tracked files covered
	ClockAhead     bool     `json:"clock_ahead,omitempty"`
	Stale          bool     `json:"stale"`
	StaleReasons   []string `json:"stale_reasons"`
	Strong         bool     `json:"strong,omitempty"` // it stands, or is to stand, in the table of the remote
	LastAgent      TS       `json:"last_agent_activity_ts"`
	LastMail       TS       `json:"last_mail_activity_ts"`
	LastFilesystem TS       `json:"last_filesystem_activity_ts"`
	LastGit        TS       `json:"last_git_activity_ts"`
}

// ReservationQuery says which reservations to list.
type ReservationQuery struct {
	Mine     bool
	Path     string // only those that cover this path
	All      bool   // ended and expired ones too
	Activity bool   // find out whether each is stale (reads file times and git's log)
	Page
}

// SlotRequest asks for a build slot.
type SlotRequest struct {
	Slot   string
	TTL    time.Duration // 0 means an hour; at least a minute, at most a day
	Shared bool          // does not mind others who hold it, nor they it
}

// Slot is a build slot in somebody's hands.
type Slot struct {
	Slot       string `json:"slot"`
	Agent      string `json:"agent"`
	Branch     string `json:"branch"` // "" if HEAD is detached
	Exclusive  bool   `json:"exclusive"`
	AcquiredTS TS     `json:"acquired_ts"`
	ExpiresTS  TS     `json:"expires_ts"`
}

// SlotResult is the answer to AcquireSlot.
type SlotResult struct {
	Granted   Slot     `json:"granted"`
	Conflicts []Slot   `json:"conflicts"` // who else holds it exclusively
	Warnings  []string `json:"warnings,omitempty"`
}

// SlotRenewed is the answer to RenewSlot.
type SlotRenewed struct {
	Renewed   bool `json:"renewed"`
	ExpiresTS TS   `json:"expires_ts"`
}

// SlotReleased is the answer to ReleaseSlot.
type SlotReleased struct {
	Released   bool `json:"released"` // false if it was not held
	ReleasedAt TS   `json:"released_at"`
}

// Product is a named set of projects.
type Product struct {
	ID         string `json:"id"` // the uid: the contract has both
	ProductUID string `json:"product_uid"`
	Name       string `json:"name"`
	CreatedAt  TS     `json:"created_at"`
}

// ProductView is a product with what belongs to it.
type ProductView struct {
	Product
	Projects []ProjectRow `json:"projects"`
}

// ProductLinked is the answer to LinkProduct.
type ProductLinked struct {
	Product Product `json:"product"`
	Project Project `json:"project"`
	Linked  bool    `json:"linked"`
}

// ProductHit is a message that a search of a product found.
type ProductHit struct {
	SearchHit
	ProjectID string `json:"project_id"`
	Project   string `json:"project"` // human_key
}

// ProductRow is a message in somebody's inbox in one of a product's projects.
type ProductRow struct {
	InboxRow
	Project string `json:"project"` // human_key
}

// ProductSummary is what a thread says in all projects of a product.
type ProductSummary struct {
	ThreadSummary
	Examples []Example `json:"examples,omitempty"`
}

// ForceResult is the answer to ForceRelease.
type ForceResult struct {
	Released        int               `json:"released"`
	ReleasedAt      TS                `json:"released_at"`
	AlreadyReleased bool              `json:"already_released,omitempty"`
	Reservation     ForcedReservation `json:"reservation"`
}

// ForcedReservation says what was released and whether its holder was told.
type ForcedReservation struct {
	Reservation
	Notified bool `json:"notified"`
}

// Blocked is one path that somebody else holds.
type Blocked struct {
	Path        string `json:"path"` // Go-quoted if it is not valid UTF-8
	Holder      string `json:"holder"`
	PathPattern string `json:"path_pattern"`
	ExpiresTS   TS     `json:"expires_ts"`
	Reason      string `json:"reason"`
	ID          string `json:"id"`
}

// CheckResult is the guard's answer.
type CheckResult struct {
	Blocked []Blocked `json:"blocked"`
	Mode    string    `json:"mode"` // block, warn, off
	Checked int       `json:"checked"`
}

// HookRequest is a call of git's hook.
type HookRequest struct {
	Event string   // PreCommit and the others
	Args  []string // as git gave them
	Stdin []byte   // PrePush, PreReceive: the refs
}

// Verdict is what a hook should do. Err is nil if there is nothing to say; it
// is printed in either case, and git is stopped only if Stop is set.
type Verdict struct {
	CheckResult
	Err   *mail.Error
	Stop  bool
	Notes []string // one-line remarks for stderr
}

// ContactRequest is the answer to RequestContact.
type ContactRequest struct {
	From         string     `json:"from"`
	FromProject  string     `json:"from_project"`
	To           string     `json:"to"`
	ToProject    string     `json:"to_project"`
	Status       string     `json:"status"`
	ExpiresTS    TS         `json:"expires_ts"`
	Notification *SentBrief `json:"notification_message,omitempty"`
}

// SentBrief names a message that an action sent along the way.
type SentBrief struct {
	ID      string `json:"id"`
	Subject string `json:"subject"`
}

// ContactResponse is the answer to RespondContact.
type ContactResponse struct {
	From      string `json:"from"`
	To        string `json:"to"`
	Approved  bool   `json:"approved"`
	ExpiresTS TS     `json:"expires_ts"`
	Updated   int    `json:"updated"`
}

// ContactRow is one outgoing link.
type ContactRow struct {
	To        string `json:"to"`
	ToProject string `json:"to_project"`
	Status    string `json:"status"`
	Reason    string `json:"reason"`
	UpdatedTS TS     `json:"updated_ts"`
	ExpiresTS TS     `json:"expires_ts"`
}

// PolicyResult is the answer to SetContactPolicy.
type PolicyResult struct {
	Agent  string `json:"agent"`
	Policy string `json:"policy"`
}

// Event is one line of the log: something that happened in the mailbox.
type Event struct {
	ID      string `json:"id"`
	TS      TS     `json:"ts"`
	Agent   string `json:"agent"`
	Kind    string `json:"kind"`    // message, register, profile, read, ack, reserve, renew, release, force-release, contact, commit, bypass, redact, delete, slot, slot-release, product, unknown
	Summary string `json:"summary"` // one line for people
	// What it was about, where that applies.
	Message string   `json:"message,omitempty"` // id
	Thread  string   `json:"thread,omitempty"`
	Leases  []string `json:"leases,omitempty"`
	Paths   []string `json:"paths,omitempty"` // patterns or paths
	To      []string `json:"to,omitempty"`
	Blind   []string `json:"-"` // who else has the message; nobody is told but they
}

// LogQuery says which events to list.
type LogQuery struct {
	Agent string
	Path  string // events about this path: reservations that cover it, commits, messages that name it
	Page
}

// WorktreeRow is one work tree of the repository.
type WorktreeRow struct {
	Path   string `json:"path"`
	Branch string `json:"branch"`
	Agent  string `json:"agent,omitempty"` // the worktree's own agent
}

// Status is the mailbox on one screen.
type Status struct {
	Project      Project       `json:"project"`
	You          Actor         `json:"you"`
	Agents       []AgentRow    `json:"agents"`
	Worktrees    []WorktreeRow `json:"worktrees"`
	Reservations []Reservation `json:"reservations"`
	Unacked      []InboxRow    `json:"unacknowledged"` // asked for and not given, to anybody; the oldest first, so many
	UnackedCount int           `json:"unacknowledged_count"`
	Urgent       []InboxRow    `json:"urgent"` // unread, high or urgent, to anybody; so many
	UrgentCount  int           `json:"urgent_count"`
	Messages     int           `json:"messages"`
	Guard        GuardState    `json:"guard"`
	Sync         string        `json:"sync"` // in words
	Remotes      []Remote      `json:"remotes"`
	Trust        Trust         `json:"trust"`
}

// Trust says which logs of other clones are believed, and by what others know this one's.
type Trust struct {
	Mode    string   `json:"mode"`            // tofu, listed or off
	Key     string   `json:"key"`             // this clone's, as a line for a list of allowed signers; "" if its log has none
	Keyless []string `json:"keyless"`         // logs without a key
	Error   string   `json:"error,omitempty"` // why no mail is exchanged
}

// Remote is one that logs are exchanged with.
type Remote struct {
	Name     string   `json:"name"`
	LastTS   TS       `json:"last_ts"`            // of the last exchange that went through; "" if there was none
	Ahead    int      `json:"ahead"`              // commits of this clone that it has not got
	Archived int      `json:"archived"`           // logs of idle clones that it has in archives
	Branches bool     `json:"branches,omitempty"` // it takes logs as branches only
	Place    string   `json:"place,omitempty"`    // the ref that is this clone's log there
	NotTaken []string `json:"not_taken"`          // places where it did not take that log, and there is no other
	Failed   string   `json:"failed,omitempty"`   // what stopped the last one

	Refused []RefusedLog `json:"refused,omitempty"` // logs that it has and that were not believed then
}

// SyncResult says what an exchange with a remote did.
type SyncResult struct {
	Remote   string       `json:"remote"`
	Messages int          `json:"messages"`        // that came
	Fetched  int          `json:"fetched"`         // logs that were new or had grown
	Pushed   int          `json:"pushed"`          // commits of this clone's log that the remote has now
	Retired  int          `json:"retired"`         // logs of idle clones that this put into an archive there
	Restored []string     `json:"restored"`        // logs that something had removed from the remote
	Refused  []RefusedLog `json:"refused"`         // logs that the remote has and that are not believed
	Notices  []string     `json:"notices"`         // what clones did that did not know of each other
	Branches bool         `json:"branches"`        // the remote takes logs as branches only
	Place    string       `json:"place,omitempty"` // the ref that is this clone's log there
	Error    *mail.Error  `json:"error,omitempty"`
}

// RefusedLog is a log of a remote that is not believed; this clone goes on with what it had of it.
type RefusedLog struct {
	Replica string `json:"replica"`
	Why     string `json:"why"`
}

// GuardState says whether git would run the guard from this worktree.
type GuardState struct {
	Mode   string      `json:"mode"`
	Active bool        `json:"active"`
	Cause  string      `json:"cause,omitempty"` // why not
	Hooks  []HookState `json:"hooks,omitempty"`
	Layers []Layer     `json:"layers,omitempty"`
}

// Layer is one of the places that ask the guard. What one does not see, another may.
type Layer struct {
	Name  string `json:"name"`
	State string `json:"state"` // active, or why not
}

// HookState is the state of one git hook.
type HookState struct {
	Event string `json:"event"`
	State string `json:"state"`
	File  string `json:"file"`
	Note  string `json:"note,omitempty"`
}

// InitRequest sets a repository up.
type InitRequest struct {
	DryRun  bool
	NoHooks bool
	Remote  string // to exchange mail with from the next sync on; "" adds none
	Binary  string // absolute path of git-agentmail, the hooks' fallback
}

// Change is one write by init, uninstall, or hooks install.
type Change struct {
	Action string `json:"action"` // create, insert, replace, keep, remove, refuse
	Path   string `json:"path"`
	Note   string `json:"note,omitempty"`
}

// SetupResult lists what was or would be written.
type SetupResult struct {
	Changes []Change `json:"changes"`
	DryRun  bool     `json:"dry_run"`
}

// UninstallRequest removes everything of ours from the repository.
type UninstallRequest struct {
	DryRun   bool
	KeepMail bool
}

// Finding is one thing that verify or doctor has to say.
type Finding struct {
	Level string `json:"level"` // ok, note, problem
	What  string `json:"what"`
	Hint  string `json:"hint,omitempty"`
}

// ReindexResult is the answer to Reindex.
type ReindexResult struct {
	Messages int   `json:"messages"`
	Bytes    int64 `json:"bytes"` // of the index
}

// VerifyResult is the answer to Verify.
type VerifyResult struct {
	Logs     int       `json:"logs"`
	Records  int       `json:"records"`
	Unknown  int       `json:"unknown"` // of a newer version: kept, not understood
	Problems []Finding `json:"problems"`
}

// DoctorResult is the answer to Doctor.
type DoctorResult struct {
	Findings []Finding `json:"findings"`
	Fixed    []string  `json:"fixed,omitempty"`
}

// ProjectView is a project with who is there.
type ProjectView struct {
	ProjectRow
	Agents []Agent `json:"agents"`
}

// AgentElsewhere is an agent in a list over several projects.
type AgentElsewhere struct {
	AgentRow
	ProjectSlug     string `json:"project_slug"`
	ProjectHumanKey string `json:"project_human_key"`
}

// AgentsEverywhere is such a list.
type AgentsEverywhere struct {
	Agents []AgentElsewhere `json:"agents"`
	Total  int              `json:"total"`
}
