package winimage

import (
	"context"
	"errors"
	"fmt"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/diagnosis"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/diskimage"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/windows"
)

// SetupState is how far Windows Setup has come with a disk, which may be that of a
// machine that runs: then it says what happened to be written.
type SetupState struct {
	State windows.State
	// Logged is the size of each log of Windows Setup in bytes, by its path.
	Logged map[string]int64
	// Grown is how many bytes were added to them.
	Grown int64
	// Cause is the failure of the first boot that was logged since; Hang what was
	// begun since and has not ended, by what all its logs say.
	Cause, Hang *diagnosis.Diagnosis
}

// ErrNoWindows: none could be looked into.
var ErrNoWindows = errors.New("no Windows was found on the disk")

// ReadSetupState looks at one Windows of a disk: that on a partition, or with 0
// the first. Of the logs what lies beyond before is read, the SetupState of the image
// that was booted.
func ReadSetupState(ctx context.Context, d diskimage.Disk, partition int, before SetupState) (SetupState, error) {
	volumes, err := openVolumes(ctx, d, new(Facts), false)
	if err != nil {
		return SetupState{}, err
	}
	for _, v := range volumes {
		if v.ntfs == nil || partition != 0 && v.partition != partition || !v.drive.hasWindows() {
			continue
		}
		s := v.drive.setupState(before)
		return s, ctx.Err()
	}
	if err := ctx.Err(); err != nil {
		return SetupState{}, err
	}
	return SetupState{}, ErrNoWindows
}

// setupState reads the state, and the logs beyond what they were before.
func (d *drive) setupState(before SetupState) SetupState {
	s := SetupState{State: d.imageState(), Logged: map[string]int64{}}
	var runs []diagnosis.Run
	var paths []string
	for _, log := range windows.Logs() {
		path := log.Path.OnVolume()
		file := d.file(path)
		if log.Of == "sysprep" || log.Name != windows.ActLog && log.Name != windows.ErrLog || file == nil {
			continue
		}
		s.Logged[path] = file.Size
		if before.Logged == nil {
			continue
		}
		added := file.Size - before.Logged[path]
		if added < 0 { // it was begun anew
			added = file.Size
		}
		if added == 0 {
			continue
		}
		s.Grown += added
		run, err := d.trackLog(path, min(added, maxLog))
		if err != nil {
			d.problem(path, reason(err))
			continue
		}
		if cause, ok := diagnosis.FirstBoot(run); ok && s.Cause == nil {
			cause.Where.File = path
			s.Cause = &cause
		}
		runs, paths = append(runs, run), append(paths, path)
	}
	if hang, at, ok := diagnosis.FirstBootStands(runs...); ok {
		hang.Where.File = paths[at]
		s.Hang = &hang
	}
	return s
}

// imageState is ImageState of the registry where that was flushed. Otherwise it or
// what State.ini says, whichever is later in a deployment: neither is written before
// it is so.
func (d *drive) imageState() windows.State {
	software := d.openHive("SOFTWARE")
	_, key := windows.ImageState.Offline()
	state := windows.State(software.text(key, windows.ImageState.Name()))
	found := software.close()
	if found.Clean && found.Problem == "" && state != "" {
		return state
	}
	ini := windows.State(parseStateINI(d.readSmall(stateINI, maxStateINI)))
	if later(ini) > later(state) {
		return ini
	}
	return state
}

// later orders states as a deployment passes through them.
func later(s windows.State) int {
	switch s.Means() {
	case windows.Generalized:
		return 2
	case windows.Unfinished:
		return 3
	case windows.BeforeOOBE:
		return 4
	case windows.InAudit, windows.Installed:
		return 5
	case windows.Unrecognised:
		return 1
	}
	return 0
}

// String is for a log.
func (s SetupState) String() string {
	text := fmt.Sprintf("%s, log grown by %d bytes", s.State, s.Grown)
	if s.Cause != nil {
		text += ", " + s.Cause.ID
	}
	return text
}
