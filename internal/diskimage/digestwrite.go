package diskimage

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"hash"
	"io"
	"os"
)

// follower hashes a flat output while it is written. It reads each block back once all
// before it are there: what is hashed is what the file holds, and comes from the memory
// of the system. It lags behind the writers by a bounded number of blocks.
type follower struct {
	f    *os.File // its own handle
	size int64    // of the disk
	told chan piece
	done chan struct{} // closed when it has ended
	sum  hash.Hash
	err  error
}

// maxLag is how many blocks may wait to be hashed: 8 GiB.
const maxLag = 4096

func follow(ctx context.Context, path string, size int64) (*follower, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	w := &follower{f: f, size: size, told: make(chan piece, maxLag), done: make(chan struct{}), sum: sha256.New()}
	go func() {
		defer close(w.done)
		w.err = w.run(ctx)
	}()
	return w, nil
}

// tell says that a block is written; p.data are the parts that are not zeros. It waits
// while too many others are.
func (w *follower) tell(ctx context.Context, p piece) error {
	select {
	case w.told <- p:
		return nil
	case <-w.done:
		return w.err
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// run hashes the blocks in their order.
func (w *follower) run(ctx context.Context) error {
	early := map[int64]piece{} // as many as there are writers
	next, at := int64(0), int64(0)
	buf := make([]byte, copyUnit)
	for {
		var p piece
		var more bool
		select {
		case p, more = <-w.told:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
		if !more {
			return w.zeros(ctx, w.size-at)
		}
		early[p.number] = p
		for {
			p, ok := early[next]
			if !ok {
				break
			}
			delete(early, next)
			next++
			for _, s := range p.data {
				from, part := p.block*copyUnit+s.from, buf[:s.to-s.from]
				if err := w.zeros(ctx, from-at); err != nil {
					return err
				}
				if err := readFull(w.f, part, from); err != nil {
					return err
				}
				w.sum.Write(part)
				at = from + int64(len(part))
			}
		}
	}
}

func (w *follower) zeros(ctx context.Context, n int64) error {
	return (&summer{}).zeros(ctx, w.sum, n)
}

// end waits for the last block, and hashes what the file has behind the disk.
func (w *follower) end() (Digests, error) {
	close(w.told)
	<-w.done
	if w.err != nil {
		return Digests{}, w.err
	}
	content := w.sum.Sum(nil)
	st, err := w.f.Stat()
	if err == nil {
		_, err = io.Copy(w.sum, io.NewSectionReader(w.f, w.size, st.Size()-w.size))
	}
	return Digests{File: hex.EncodeToString(w.sum.Sum(nil)), Content: hex.EncodeToString(content)}, err
}

// close gives the file back: it can be renamed then, on Windows too.
func (w *follower) close() {
	if w != nil {
		<-w.done // it ends with its context
		w.f.Close()
	}
}
