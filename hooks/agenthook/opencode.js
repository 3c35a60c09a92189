// git-agentmail plugin for opencode, version 1. Written by `git agentmail setup`.
//
// Before a tool edits a file it asks git-agentmail whether another agent has
// reserved it, and before each turn whether there is mail to mention. Whatever
// goes wrong here, the tool runs: the hooks of git are the authority.
import { spawn } from "node:child_process"

const command = "git-agentmail"
const patience = 5000 // milliseconds

// Tools that take a path and change nothing.
const reading = new Set(["read", "grep", "glob", "list", "lsp"])

// Of a tool's arguments only these are sent, not the contents of files.
const telling = ["filePath", "file_path", "path", "patchText"]

// ask runs the hook and returns its answer: {}, {deny: TEXT} or {inject: TEXT}.
function ask(event, directory, payload) {
  return new Promise((resolve) => {
    let text = ""
    let timer
    const done = (answer) => {
      clearTimeout(timer)
      resolve(answer && typeof answer === "object" ? answer : {})
    }
    try {
      const child = spawn(command, ["hook", event, "--client=opencode"], {
        cwd: directory,
        stdio: ["pipe", "pipe", "ignore"],
        windowsHide: true,
      })
      timer = setTimeout(() => {
        child.kill()
        done({})
      }, patience)
      child.on("error", () => done({}))
      child.on("close", () => {
        try {
          done(JSON.parse(text))
        } catch {
          done({})
        }
      })
      child.stdout.setEncoding("utf8")
      child.stdout.on("data", (chunk) => {
        text += chunk
      })
      child.stdin.on("error", () => {})
      child.stdin.end(JSON.stringify({ client: "opencode", directory, ...payload }))
    } catch {
      done({})
    }
  })
}

export const GitAgentmail = async ({ directory }) => ({
  "tool.execute.before": async (input, output) => {
    if (reading.has(input.tool)) return
    const args = {}
    for (const key of telling) {
      if (typeof output.args?.[key] === "string") args[key] = output.args[key]
    }
    if (Object.keys(args).length === 0) return
    const answer = await ask("pre-edit", directory, { tool: input.tool, sessionID: input.sessionID, args })
    if (typeof answer.deny === "string") throw new Error(answer.deny)
  },
  "experimental.chat.system.transform": async (input, output) => {
    if (!input.sessionID) return
    const answer = await ask("session-start", directory, { sessionID: input.sessionID })
    if (typeof answer.inject === "string") output.system.push(answer.inject)
  },
})
