// Package footprint names everything that this plugin and Packer bring into a
// guest. Who makes a thing, who removes it and who looks for it use the same
// table, so that nothing is brought that the proof of an image would not find.
//
// Not in it is what is meant to stay: the answer file that sysprep caches, and
// SetupComplete.cmd with delete_cached_answer_file.
package footprint

import (
	"slices"
	"strings"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/windows"
)

// Trace is one kind of thing: a file, a folder or a scheduled task. Its name is
// an id between two constant parts. Windows does not tell capital letters.
type Trace struct {
	// What names it for a person.
	What string
	// Folder is where it lies, below the Windows folder. The folder of a
	// scheduled task is that of its file, which has the name of the task.
	Folder string
	// Before and After enclose the id.
	Before, After string
}

// Folders below the Windows folder.
const (
	temp         = `\Temp`
	tasks        = string(windows.TasksFolder)
	sysprep      = string(windows.SysprepFolder)
	panther      = string(windows.SysprepLogs)
	setupScripts = string(windows.ScriptsFolder)
)

// What the provisioner brings; the id is that of the run, and of MovedLogs the
// time of the launch, which launch.ps1 sets.
var (
	Folder               = Trace{"folder of the guest scripts", temp, "packer-sysprep-", ""}
	DurableFolder        = Trace{"folder of the guest scripts", sysprep, "packer-sysprep-", ""} // with an agent, which may empty \Temp
	FilesFolder          = Trace{"folder of file transfers", temp, "packer-files-", ""}
	Task                 = Trace{"task that starts sysprep", tasks, "packer-sysprep-", ""}
	AnswerFolder         = Trace{"folder of the answer file", sysprep, "packer-unattend-", ""}
	Mark                 = Trace{"mark of a run", panther, "packer-", ".mark"}
	PartialMark          = Trace{"mark of a run that was not finished", panther, "packer-", ".mark.part"}
	MovedLogs            = Trace{"logs of an earlier sysprep", sysprep, "Panther.packer-", ""}
	RenamedLog           = Trace{"log of an earlier sysprep", panther, "setupact.packer-", ".log"}
	PartialSetupComplete = Trace{"SetupComplete.cmd that was not finished", setupScripts, "SetupComplete.cmd.packer-", ""}
)

// traces are all kinds, the special ones before the general ones. Those of
// Packer are from its sources: provisioner/powershell of hashicorp/packer,
// guestexec/elevated.go of hashicorp/packer-plugin-sdk, winrmcp/cp.go of
// packer-community/winrmcp.
var traces = []Trace{
	Folder, DurableFolder, FilesFolder, Task, AnswerFolder, PartialMark, Mark, MovedLogs, RenamedLog, PartialSetupComplete,
	{"script of Packer", temp, "script-", ".ps1"},
	{"script of Packer", temp, "script-", ".bat"},
	{"script of Packer", temp, "script-", ".cmd"},
	{"environment variables of Packer's powershell provisioner", temp, "packer-ps-env-vars-", ".ps1"},
	{"cleanup script of Packer's powershell provisioner", temp, "packer-cleanup-", ".ps1"},
	{"elevated script of Packer", temp, "packer-elevated-shell-", ".ps1"},
	{"output of an elevated script of Packer", temp, "packer-", ".out"},
	{"upload that Packer did not finish", temp, "winrmcp-", ".tmp"},
	{"file of Packer", temp, "packer-", ""},
	{"elevated task of Packer", tasks, "packer-", ""},
	{"file of Packer", sysprep, "packer-", ""},
}

// Name is the name of the thing with that id.
func (t Trace) Name(id string) string { return t.Before + id + t.After }

// Path is the path of the thing with that id, below the Windows folder.
func (t Trace) Path(id string) string { return t.Folder + `\` + t.Name(id) }

// In is the path of the thing with that id in a guest whose Windows folder is
// windir.
func (t Trace) In(windir, id string) string { return windir + t.Path(id) }

// ID takes the id out of a name; false: the name is not of this kind.
func (t Trace) ID(name string) (string, bool) {
	n := len(name) - len(t.Before) - len(t.After)
	if n < 1 || !strings.EqualFold(name[:len(t.Before)], t.Before) || !strings.EqualFold(name[len(name)-len(t.After):], t.After) {
		return "", false
	}
	return name[len(t.Before) : len(t.Before)+n], true
}

// Find tells what a name in a folder below the Windows folder is; false: nothing
// of ours or Packer's.
func Find(folder, name string) (Trace, bool) {
	for _, t := range traces {
		if _, ok := t.ID(name); ok && strings.EqualFold(t.Folder, folder) {
			return t, true
		}
	}
	return Trace{}, false
}

// Of reports whether a path below the Windows folder is the thing of a kind with
// that id.
func Of(id, path string) bool {
	at := strings.LastIndexByte(path, '\\')
	trace, ok := Find(path[:max(0, at)], path[at+1:])
	return ok && strings.EqualFold(trace.Path(id), path)
}

// Folders are those, below the Windows folder, in which there may be any of it.
func Folders() []string {
	var folders []string
	for _, t := range traces {
		if !slices.Contains(folders, t.Folder) {
			folders = append(folders, t.Folder)
		}
	}
	return folders
}
