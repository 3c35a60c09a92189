module github.com/git-agentmail/git-agentmail

go 1.26
