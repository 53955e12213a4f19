package preflight

import (
	"fmt"
	"slices"
	"strings"
)

// Cleaning is something that an image should not carry. None is done unless it was
// asked for by its id.
type Cleaning struct {
	ID string
	// Changes says what it removes, and Keeps what it leaves alone.
	Changes, Keeps string
	// AtTheEnd: it is done after sysprep, right before Windows goes down, because
	// sysprep would undo it or needs what it takes away.
	AtTheEnd bool
	// Slow: it may take an hour.
	Slow   bool
	Source string
}

// Ids of cleanings that are treated by themselves.
const (
	CleanComponentStore = "component-store"
	CleanResetBase      = "component-store-reset-base"
	CleanAccount        = "build-account-disabled"
	CleanPassword       = "administrator-password"
)

// Cleanings are all of them, in the order in which they are done.
func Cleanings() []Cleaning {
	return []Cleaning{
		{ID: "update-cache", Changes: `stops wuauserv and BITS, and empties \Windows\SoftwareDistribution\Download`, Keeps: "the history of updates", Source: "common practice of image builders"},
		{ID: CleanComponentStore, Slow: true, Changes: "DISM /Online /Cleanup-Image /StartComponentCleanup; what is measured is the free space", Keeps: "the updates that are installed, and the way to uninstall them", Source: "learn.microsoft.com: Clean Up the WinSxS Folder"},
		{ID: CleanResetBase, Slow: true, Changes: "the same with /ResetBase: installed updates cannot be uninstalled any more", Keeps: "the updates that are installed", Source: "learn.microsoft.com: Clean Up the WinSxS Folder"},
		{ID: "shadow-copies", Changes: "deletes all shadow copies of all drives, with restore points", Keeps: "the settings of System Protection", Source: "learn.microsoft.com: Win32_ShadowCopy"},
		{ID: "recycle-bin", Changes: `empties \$Recycle.Bin on the drive of Windows, of all users`, Keeps: "other drives", Source: "common practice of image builders"},
		{ID: "powershell-history", Changes: "removes the command history (PSReadLine) of all users", Keeps: "history of other programs", Source: "learn.microsoft.com: about_PSReadLine"},
		{ID: "transcripts", Changes: "removes PowerShell's transcripts from the documents of all users, and from the folder of the policy", Keeps: "transcripts with other names or in other folders", Source: "learn.microsoft.com: Start-Transcript"},
		{ID: "packer-leftovers", Changes: "removes what earlier runs of Packer and of this plugin have left: files, moved logs, scheduled tasks", Keeps: "what this run has brought", Source: "hashicorp/packer, hashicorp/packer-plugin-sdk"},
		{ID: "temp", Changes: `empties \Windows\Temp and the temporary folder of the build account`, Keeps: "files in use, what Packer and this plugin have put there, and a folder that is not named Temp or Tmp, or is a profile, the root of a drive, a junction or on the network", Source: "common practice of image builders"},
		{ID: "event-logs", Changes: "clears every event log that holds something", Keeps: "what Windows notes of the clearing itself", Source: "learn.microsoft.com: wevtutil"},
		{ID: CleanPassword, AtTheEnd: true, Changes: "gives the built-in Administrator (RID 500) a random password that the guest makes and tells nobody", Keeps: "whether the account is enabled: an answer file sets both anew", Source: "practice of image builders; sysprep asks for a new one in OOBE"},
		{ID: CleanAccount, AtTheEnd: true, Changes: "disables the account that Packer connects as", Keeps: "its profile and its group memberships: deleting the account of a running session would leave an orphaned profile, which can break the first boot", Source: "eryph-org/basecatlets-hyperv"},
	}
}

// CleaningIDs lists the ids, in the order in which they are done.
func CleaningIDs() (ids []string) {
	for _, c := range Cleanings() {
		ids = append(ids, c.ID)
	}
	return ids
}

// CleaningsOf are those of some ids, in the order in which they are done.
func CleaningsOf(ids []string, atTheEnd bool) (list []Cleaning) {
	for _, c := range Cleanings() {
		if c.AtTheEnd == atTheEnd && slices.Contains(ids, c.ID) {
			list = append(list, c)
		}
	}
	return list
}

// refused are ids that somebody might write, and why there is none.
var refused = map[string]string{
	"build-account-removed": "deleting the account of the session that runs leaves an orphaned profile, which can break the first boot of the image; delete it on the deployed machine, in the pass specialize of the answer file: a RunSynchronousCommand \"net user <name> /delete\", and one that removes its folder",
	"page-file":             "it is in use while Windows runs, and Windows makes it anew",
}

// CheckCleanings says what is wrong with a choice, each mistake once.
func CheckCleanings(ids []string) (errs []error) {
	var unknown []string
	for _, id := range ids {
		switch why, known := refused[id]; {
		case known:
			errs = append(errs, fmt.Errorf("hygiene: %q is not offered: %s", id, why))
		case !slices.Contains(CleaningIDs(), id):
			unknown = append(unknown, fmt.Sprintf("%q", id))
		}
	}
	if len(unknown) > 0 {
		errs = append(errs, fmt.Errorf("hygiene: there is no %s; use %s", strings.Join(unknown, " or "), strings.Join(CleaningIDs(), ", ")))
	}
	if slices.Contains(ids, CleanComponentStore) && slices.Contains(ids, CleanResetBase) {
		errs = append(errs, fmt.Errorf("hygiene: %s does what %s does, and more; keep one of them", CleanResetBase, CleanComponentStore))
	}
	return errs
}
