package httpdisk

import (
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/foreign"
)

// edition is what tells one content of a file from another (RFC 9110, section
// 8.8).
type edition struct {
	size     int64
	etag     string
	modified string
}

// same reports whether two answers are about the same content. A strong ETag
// decides alone: servers behind one name may differ in their dates.
func (e edition) same(o edition) bool {
	if e.size != o.size || e.etag != o.etag {
		return false
	}
	strong := e.etag != "" && !strings.HasPrefix(e.etag, "W/")
	return strong || e.modified == o.modified
}

// dated reports whether the server tells a change at all.
func (e edition) dated() bool { return e.etag != "" || e.modified != "" }

// readHead checks that an answer is what was asked for, and about the content
// that is known, nil for the first answer. It returns what the answer says of
// the file and how many bytes it brings.
func readHead(resp *http.Response, start, length int64, known *edition) (edition, int64, error) {
	fail := func(format string, args ...any) (edition, int64, error) {
		return edition{}, 0, fmt.Errorf(format, args...)
	}
	status := foreign.Limit(resp.Status, 100)
	switch code := resp.StatusCode; {
	case code == http.StatusPartialContent:
	case code == http.StatusOK && known == nil:
		return edition{}, 0, ErrNoRanges
	case code == http.StatusOK, code == http.StatusPreconditionFailed, code == http.StatusRequestedRangeNotSatisfiable && known != nil:
		return edition{}, 0, ErrChanged
	case code == http.StatusRequestedRangeNotSatisfiable:
		return fail("the server answered %s: is the file empty?", status)
	case code == http.StatusUnauthorized || code == http.StatusForbidden:
		return fail("the server answered %s; check user and password, or the signature in the address and its expiry", status)
	case code == http.StatusNotFound || code == http.StatusGone:
		return fail("the server answered %s; check the path in the address", status)
	case code >= 500 && code != http.StatusNotImplemented && code != http.StatusHTTPVersionNotSupported,
		code == http.StatusTooManyRequests, code == http.StatusRequestTimeout, code == http.StatusTooEarly:
		return edition{}, 0, &temporary{err: fmt.Errorf("the server answered %s", status), after: retryAfter(resp.Header.Get("Retry-After"), time.Now())}
	default:
		return fail("the server answered %s; check the address, or download the file and inspect it here", status)
	}
	if encoding := resp.Header.Get("Content-Encoding"); encoding != "" && !strings.EqualFold(encoding, "identity") {
		return fail("the server sends the file in the encoding %q, so a range of it cannot be used; download the file and inspect it here", foreign.Limit(encoding, 100))
	}
	if kind := resp.Header.Get("Content-Type"); strings.HasPrefix(strings.ToLower(kind), "multipart/") {
		return fail("the server answers one range in several parts (%q); download the file and inspect it here", foreign.Limit(kind, 100))
	}
	first, last, size, err := contentRange(resp.Header.Get("Content-Range"))
	if err != nil {
		return edition{}, 0, err
	}
	now := edition{size, resp.Header.Get("ETag"), resp.Header.Get("Last-Modified")}
	switch {
	case known != nil && !known.same(now):
		return edition{}, 0, ErrChanged
	case size > maxSize:
		return fail("the server says that the file has %d bytes, more than any disk image", size)
	}
	length = min(length, size-start)
	if first != start || last != start+length-1 {
		return fail("the server sends bytes %d to %d where %d to %d were asked for", first, last, start, start+length-1)
	}
	if resp.ContentLength >= 0 && resp.ContentLength != length {
		return fail("the server announces %d bytes for a range of %d", resp.ContentLength, length)
	}
	return now, length, nil
}

// contentRange reads "bytes 0-65535/1048576" (RFC 9110, section 14.4).
func contentRange(header string) (first, last, size int64, err error) {
	bad := fmt.Errorf("the server sent Content-Range %q: want bytes FIRST-LAST/SIZE", foreign.Limit(header, 100))
	span, total, ok := strings.Cut(strings.TrimPrefix(header, "bytes "), "/")
	from, to, ok2 := strings.Cut(span, "-")
	if !ok || !ok2 {
		return 0, 0, 0, bad
	}
	var errs [3]error
	first, errs[0] = strconv.ParseInt(from, 10, 64)
	last, errs[1] = strconv.ParseInt(to, 10, 64)
	size, errs[2] = strconv.ParseInt(total, 10, 64)
	if errors.Join(errs[:]...) != nil || first < 0 || last < first || size <= last {
		return 0, 0, 0, bad
	}
	return first, last, size, nil
}

// retryAfter reads seconds or a date (RFC 9110, section 10.2.3); 0 without
// either.
func retryAfter(header string, now time.Time) time.Duration {
	if seconds, err := strconv.ParseInt(strings.TrimSpace(header), 10, 64); err == nil {
		return time.Duration(max(0, min(seconds, 366*24*3600))) * time.Second
	}
	if at, err := http.ParseTime(header); err == nil {
		return max(0, at.Sub(now).Round(time.Second))
	}
	return 0
}
