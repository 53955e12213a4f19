// Checks PowerShell scripts where no engine is to be had: syntax with
// tree-sitter-powershell; with --commands FILE also that every command and
// parameter exists in Windows PowerShell 4.0 and 5.1 (a table of names, read
// beside the project). Usage: node check.mjs [--commands FILE] SCRIPT...
// Prints one line a problem and a line of totals; exit code 1 on a problem.
import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { basename } from 'node:path'
import { Language, Parser } from 'web-tree-sitter'

const require = createRequire(import.meta.url)
const args = process.argv.slice(2)
let tables = null
if (args[0] === '--commands') {
  const all = JSON.parse(readFileSync(args[1], 'utf8'))
  tables = Object.fromEntries(['4.0', '5.1'].map(v => [v, lowered(all[v])]))
  args.splice(0, 2)
}
if (args.length === 0) {
  console.error('usage: node check.mjs [--commands FILE] SCRIPT...')
  process.exit(2)
}

function lowered(table) {
  return new Map(Object.entries(table).map(([name, list]) => [name.toLowerCase(), new Set(list.toLowerCase().split(' '))]))
}

// about_CommonParameters, as far as 4.0 has them.
const common = new Set(['debug', 'erroraction', 'errorvariable', 'outvariable', 'outbuffer', 'pipelinevariable', 'verbose', 'warningaction', 'warningvariable'])
const natives = new Set(['whoami.exe', 'icacls.exe', 'netsh.exe', 'cipher.exe', 'wevtutil.exe', 'dism.exe', 'sc.exe'])
// The named blocks of a script, which the parser takes for commands.
const blocks = new Set(['begin', 'process', 'end'])

await Parser.init()
const parser = new Parser()
parser.setLanguage(await Language.load(require.resolve('tree-sitter-powershell/tree-sitter-powershell.wasm')))

let problems = 0
let commands = 0
for (const file of args) {
  const text = readFileSync(file, 'utf8')
  const report = (node, what) => {
    problems++
    console.log(`${basename(file)}:${node.startPosition.row + 1}: ${what}`)
  }
  const tree = parser.parse(text)
  const functions = new Set()
  visit(tree.rootNode, node => {
    if (node.type === 'ERROR' || node.isMissing) report(node, `syntax: ${JSON.stringify(node.text.slice(0, 60))}`)
    if (node.type === 'function_name') functions.add(node.text.toLowerCase())
  })
  if (tables) visit(tree.rootNode, node => { if (node.type === 'command') checkCommand(node, text.split('\n'), functions, report) })
}
console.log(`${args.length} scripts, ${commands} commands looked up, ${problems} problems`)
process.exit(problems ? 1 : 0)

function visit(node, see) {
  see(node)
  for (const child of node.children) visit(child, see)
}

// A newer command or parameter is allowed by a comment in the three lines above:
//   # check51: allow Get-Thing -NewSwitch: why it is not reached where it does not exist
function allowed(lines, row, command, parameter) {
  return lines.slice(Math.max(0, row - 3), row + 1).some(line => {
    const m = line.match(/^\s*#\s*check51:\s*allow\s+(\S+?)((?:\s+-\w+)*)\s*:\s*(.{10,})$/)
    if (!m || m[1].toLowerCase() !== command) return false
    return parameter === '' || m[2].toLowerCase().split(/[\s-]+/).includes(parameter)
  })
}

function checkCommand(node, lines, functions, report) {
  const nameNode = node.childForFieldName('command_name')
  // `& $block` and `. $file` run what a variable holds; there is no name to look up.
  if (!nameNode || nameNode.type !== 'command_name') return
  const name = nameNode.text.toLowerCase()
  if (functions.has(name) || natives.has(name) || blocks.has(name)) return
  commands++
  const row = node.startPosition.row
  for (const [version, table] of Object.entries(tables)) {
    const parameters = table.get(name)
    if (!parameters) {
      // The list of 5.1 is a client's: what 4.0 has and it lacks is a server's command.
      const serverOnly = version === '5.1' && tables['4.0'].has(name)
      if (!serverOnly && !allowed(lines, row, name, '')) report(node, `no command ${nameNode.text} in ${version}`)
      continue
    }
    const elements = node.childForFieldName('command_elements')
    for (const child of elements ? elements.children : []) {
      if (child.type !== 'command_parameter') continue
      const parameter = child.text.replace(/^-/, '').replace(/:.*$/, '').toLowerCase()
      if (!parameters.has(parameter) && !common.has(parameter) && !allowed(lines, row, name, parameter))
        report(child, `${nameNode.text} has no parameter ${child.text} in ${version}`)
    }
  }
}
