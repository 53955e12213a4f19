package guest

import (
	"regexp"
	"strings"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/guest/scripts"
)

// Folder is where the session keeps its scripts in the guest.
func (s *Session) Folder() string { return s.Windir() + `\Temp\packer-sysprep-` + s.id }

// Task is the name of the scheduled task that Launch may register.
func (s *Session) Task() string { return "packer-sysprep-" + s.id }

// taskFile is where Windows keeps a task.
func (s *Session) taskFile(task string) string { return s.Windir() + `\System32\Tasks\` + task }

func (s *Session) scriptFile(name string) string { return s.Folder() + `\` + name + ".ps1" }

// bundleFile and secretFile go with the folder.
func (s *Session) bundleFile() string { return s.Folder() + `\files.zip` }
func (s *Session) secretFile() string { return s.Folder() + `\private\logon` }

// The mark is an empty file among sysprep's logs. launch.ps1 moves all of them
// away before it starts anything: while the mark is there nothing was started.
func (s *Session) markFile() string { return s.logs() + `\` + s.markName() }

func (s *Session) markName() string { return "packer-" + s.id + ".mark" }

// launchers are what starts sysprep, by a pattern: not the script's name, because
// a line that names it runs it.
func (s *Session) launchers() string { return s.Folder() + `\` + scripts.Launch + ".*" }

// oldLog is the name of an earlier log, beside the new one.
func (s *Session) oldLog() string { return "setupact.packer-" + s.id + ".log" }

// setupCompletePart is SetupComplete.cmd while it is written.
func (s *Session) setupCompletePart() string { return s.setupComplete() + ".packer-" + s.id }

// movedFolder is one that launch.ps1 moves earlier logs to, and movedPrefix how
// its name begins.
const movedPrefix = "Panther.packer-"

var movedFolder = regexp.MustCompile(`^Panther\.packer-[0-9TZ]{1,20}$`)

// movedFolders are all of them, as a pattern.
func (s *Session) movedFolders() string { return s.sysprep() + `\` + movedPrefix + "*" }

// What is Windows' own.

const (
	imageStateValue = `"HKLM\SOFTWARE\Microsoft\Windows\CurrentVersion\Setup\State" /v ImageState`
	setupPointer    = `"HKLM\SYSTEM\Setup" /v UnattendFile`
)

func (s *Session) sysprep() string       { return s.Windir() + `\System32\Sysprep` }
func (s *Session) logs() string          { return s.sysprep() + `\Panther` }
func (s *Session) log() string           { return s.logs() + `\setupact.log` }
func (s *Session) tag() string           { return s.sysprep() + `\Sysprep_succeeded.tag` }
func (s *Session) setupComplete() string { return s.Windir() + `\Setup\Scripts\SetupComplete.cmd` }

// CachedAnswerFile is where Windows keeps the answer file it works with.
func (s *Session) CachedAnswerFile() string { return s.Windir() + `\Panther\unattend.xml` }

// folderOf is what a file of the guest lies in, and nameOf its name there.
func folderOf(path string) string { return path[:strings.LastIndexByte(path, '\\')] }
func nameOf(path string) string   { return path[strings.LastIndexByte(path, '\\')+1:] }
