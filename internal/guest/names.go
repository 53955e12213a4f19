package guest

import (
	"strings"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/footprint"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/guest/scripts"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/lazyregexp"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/windows"
)

// in is where a path below the Windows folder is in this guest.
func (s *Session) in(path windows.Path) string { return path.In(s.Windir()) }

// Folder is where the session keeps its scripts in the guest.
func (s *Session) Folder() string {
	s.mu.Lock()
	trace := footprint.Folder
	if s.durable {
		trace = footprint.DurableFolder
	}
	s.mu.Unlock()
	return trace.In(s.Windir(), s.id)
}

// Task is the name of the scheduled task that Launch may register.
func (s *Session) Task() string { return footprint.Task.Name(s.id) }

// taskFile is where Windows keeps a task.
func (s *Session) taskFile(task string) string {
	return s.in(windows.TasksFolder + `\` + windows.Path(task))
}

func (s *Session) scriptFile(name string) string { return s.Folder() + `\` + name + ".ps1" }

// bundleFile and secretFile go with the folder.
func (s *Session) bundleFile() string { return s.Folder() + `\files.zip` }
func (s *Session) secretFile() string { return s.Folder() + `\private\logon` }

// The mark is an empty file among sysprep's logs. launch.ps1 moves all of them
// away before it starts anything: while the mark is there nothing was started.
func (s *Session) markFile() string { return footprint.Mark.In(s.Windir(), s.id) }

func (s *Session) markName() string { return footprint.Mark.Name(s.id) }

// launchers are what starts sysprep, by a pattern: not the script's name, because
// a line that names it runs it.
func (s *Session) launchers() string { return s.Folder() + `\` + scripts.Launch + ".*" }

// oldLog is an earlier log, beside the new one.
func (s *Session) oldLog() string { return footprint.RenamedLog.In(s.Windir(), s.id) }

// setupCompletePart is SetupComplete.cmd while it is written.
func (s *Session) setupCompletePart() string {
	return footprint.PartialSetupComplete.In(s.Windir(), s.id)
}

// launchTime is the id of a folder that launch.ps1 moves earlier logs to.
var launchTime = lazyregexp.New(`^[0-9TZ]{1,20}$`)

// isMoved tells such a folder by its name.
func isMoved(name string) bool {
	id, ok := footprint.MovedLogs.ID(name)
	return ok && launchTime.MatchString(id)
}

// movedFolders are all of them, as a pattern.
func (s *Session) movedFolders() string { return footprint.MovedLogs.In(s.Windir(), "*") }

// What is Windows' own.

func (s *Session) logs() string          { return s.in(windows.SysprepLogs) }
func (s *Session) tag() string           { return s.in(windows.Tag) }
func (s *Session) setupComplete() string { return s.in(windows.SetupComplete) }

// Log is the log of sysprep.
func (s *Session) Log() string { return s.in(windows.SysprepLog) }

// CachedAnswerFile is where Windows keeps the answer file it works with.
func (s *Session) CachedAnswerFile() string { return s.in(windows.CachedAnswerFile) }

// folderOf is what a file of the guest lies in, and nameOf its name there.
func folderOf(path string) string { return path[:strings.LastIndexByte(path, '\\')] }
func nameOf(path string) string   { return path[strings.LastIndexByte(path, '\\')+1:] }
