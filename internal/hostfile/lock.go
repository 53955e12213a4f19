package hostfile

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
)

// LockName is the name of the file by which Lock holds a folder.
const LockName = ".packer-plugin-sysprep.lock"

var (
	// ErrLocked: another process, or another build in this one, holds the lock.
	ErrLocked = errors.New("in use by another build")
	// ErrNoLocks: the file system has no locks. Nothing is known of others.
	ErrNoLocks = errors.New("the file system has no locks")
)

// Lock holds a folder, which exists, for one build. The lock is the operating
// system's, so that one of a process that died is no obstacle; the file that is
// left then is taken over. release is never nil, and may be called again.
func Lock(dir string) (release func(), err error) {
	dir = resolve(dir)
	return lock(filepath.Join(dir, LockName), dir)
}

// LockOutput holds the name of one file in a folder that exists.
func LockOutput(path string) (release func(), err error) {
	path = resolve(path)
	return lock(filepath.Join(filepath.Dir(path), "."+filepath.Base(path)+".lock"), path)
}

// held are the lock files of this process. Some systems' locks are the
// process's: a second one would take the first and lose it when it closes.
var held sync.Map

func lock(name, what string) (release func(), err error) {
	nothing := func() {}
	if _, taken := held.LoadOrStore(name, true); taken {
		return nothing, locked(what, "")
	}
	defer func() {
		if err != nil {
			held.Delete(name)
		}
	}()
	for {
		if info, err := os.Lstat(name); err == nil && !isRegular(info.Mode()) {
			return nothing, fmt.Errorf("%s is %s, but the lock file of a build belongs there: remove it", name, kind(info.Mode()))
		}
		f, err := os.OpenFile(name, os.O_RDWR|os.O_CREATE, 0o666)
		if err != nil {
			return nothing, err
		}
		if err := lockFile(f); err != nil {
			holder := heldBy(f)
			f.Close()
			if errors.Is(err, ErrLocked) {
				return nothing, locked(what, holder)
			}
			return nothing, fmt.Errorf("locking %s: %w", what, err)
		}
		// Who held it before may have removed the file after it was opened here.
		mine, err := f.Stat()
		theirs, other := os.Lstat(name)
		if err == nil && other == nil && os.SameFile(mine, theirs) {
			if err := f.Truncate(0); err == nil {
				_, _ = f.WriteAt([]byte(strconv.Itoa(os.Getpid())+"\n"), 0) // for the message only
			}
			return unlock(f), nil
		}
		f.Close()
		if err != nil || other != nil && !errors.Is(other, fs.ErrNotExist) {
			return nothing, errors.Join(err, other)
		}
	}
}

// unlock removes the file and gives the lock up. Where an open file can be
// removed, that comes first: afterwards the name may be that of another's lock.
func unlock(f *os.File) func() {
	var once sync.Once
	return func() { once.Do(func() { giveUp(f) }) }
}
func giveUp(f *os.File) {
	if openFilesCanBeRemoved {
		os.Remove(f.Name())
	}
	unlockFile(f)
	f.Close()
	if !openFilesCanBeRemoved {
		os.Remove(f.Name()) // fails while another build has it open
	}
	held.Delete(f.Name())
}

func locked(what, holder string) error {
	return fmt.Errorf("%s is %w%s: wait until that build has ended, or choose another path", what, ErrLocked, holder)
}

// heldBy names the process that holds a lock, as far as its file tells.
func heldBy(f *os.File) string {
	text, err := io.ReadAll(io.LimitReader(f, 32))
	if err != nil {
		return ""
	}
	if pid, err := strconv.Atoi(strings.TrimSpace(string(text))); err == nil && pid > 0 {
		return fmt.Sprintf(" (process %d)", pid)
	}
	return ""
}

// isUnsupported says whether a file system refused the very idea of a lock.
func isUnsupported(err error) bool {
	return errors.Is(err, errors.ErrUnsupported) || isInvalid(err)
}
