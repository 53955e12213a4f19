package parent

import (
	"context"
	"errors"
	"fmt"
	"log"
	"strings"
	"unsafe"

	"golang.org/x/sys/windows"
)

// surviveBrokenOutput: writing to a closed pipe is only an error here.
func surviveBrokenOutput() {}

// watch returns what waits for the end of one of our ancestors; false when ctx
// ended before, or when there is nothing to wait for. A process keeps its
// parent's number here for ever, so the wait is on the process itself.
func watch() func(ctx context.Context) bool {
	handles, err := ancestors()
	return func(ctx context.Context) bool {
		defer func() {
			for _, h := range handles {
				windows.CloseHandle(h)
			}
		}()
		if err == nil {
			var first bool
			if first, err = oneEnds(ctx, handles); err == nil {
				return first
			}
		}
		if !errors.Is(err, errGone) {
			log.Printf("The end of Packer will not be noticed: %s", err)
		}
		return errors.Is(err, errGone)
	}
}

// oneEnds waits for the end of a process; false when ctx ended before.
func oneEnds(ctx context.Context, processes []windows.Handle) (bool, error) {
	stop, err := windows.CreateEvent(nil, 1, 0, nil)
	if err != nil {
		return false, fmt.Errorf("making an event: %w", err)
	}
	defer windows.CloseHandle(stop)
	set := make(chan struct{})
	release := context.AfterFunc(ctx, func() { defer close(set); _ = windows.SetEvent(stop) })
	which, err := windows.WaitForMultipleObjects(append([]windows.Handle{stop}, processes...), false, windows.INFINITE)
	if !release() {
		<-set // the event is closed after this
	}
	if err != nil {
		return false, fmt.Errorf("waiting for its process: %w", err)
	}
	return which != windows.WAIT_OBJECT_0, nil
}

var errGone = errors.New("the process that started this one has ended")

// ancestors opens the process that started us, and the one above it where that
// runs the same program: Packer runs itself a second time to catch its own
// crashes, and either of the two may be the one that is killed.
func ancestors() ([]windows.Handle, error) {
	parents, err := parentOf()
	if err != nil {
		return nil, err
	}
	self := windows.GetCurrentProcessId()
	parent, err := open(parents[self], windows.CurrentProcess())
	if err != nil {
		return nil, err
	}
	handles := []windows.Handle{parent}
	if above, err := open(parents[parents[self]], parent); err == nil {
		if program := image(above); program == "" || !strings.EqualFold(program, image(parent)) {
			windows.CloseHandle(above)
		} else {
			handles = append(handles, above)
		}
	}
	return handles, nil
}

// open returns the process that started child. Its number may have been given
// to another process since: one that is younger than the child.
func open(id uint32, child windows.Handle) (windows.Handle, error) {
	if id == 0 {
		return 0, errors.New("the process that started this one is not known")
	}
	h, err := windows.OpenProcess(windows.SYNCHRONIZE|windows.PROCESS_QUERY_LIMITED_INFORMATION, false, id)
	if errors.Is(err, windows.ERROR_INVALID_PARAMETER) {
		return 0, errGone
	}
	if err != nil {
		return 0, fmt.Errorf("opening process %d: %w", id, err)
	}
	if begun(h) > begun(child) {
		windows.CloseHandle(h)
		return 0, errGone
	}
	return h, nil
}

// begun is when a process was started, in nanoseconds; 0 where that is not told.
func begun(h windows.Handle) int64 {
	var created, exited, kernel, user windows.Filetime
	if err := windows.GetProcessTimes(h, &created, &exited, &kernel, &user); err != nil {
		return 0
	}
	return created.Nanoseconds()
}

// image is the program of a process, "" where that is not told.
func image(h windows.Handle) string {
	path := make([]uint16, windows.MAX_LONG_PATH)
	size := uint32(len(path))
	if err := windows.QueryFullProcessImageName(h, 0, &path[0], &size); err != nil {
		return ""
	}
	return windows.UTF16ToString(path[:size])
}

// parentOf maps each process to the one that started it.
func parentOf() (map[uint32]uint32, error) {
	snapshot, err := windows.CreateToolhelp32Snapshot(windows.TH32CS_SNAPPROCESS, 0)
	if err != nil {
		return nil, fmt.Errorf("listing processes: %w", err)
	}
	defer windows.CloseHandle(snapshot)
	parents := map[uint32]uint32{}
	entry := windows.ProcessEntry32{Size: uint32(unsafe.Sizeof(windows.ProcessEntry32{}))}
	for err = windows.Process32First(snapshot, &entry); err == nil; err = windows.Process32Next(snapshot, &entry) {
		parents[entry.ProcessID] = entry.ParentProcessID
	}
	if !errors.Is(err, windows.ERROR_NO_MORE_FILES) {
		return nil, fmt.Errorf("listing processes: %w", err)
	}
	return parents, nil
}
