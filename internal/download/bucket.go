package download

import (
	"cmp"
	"context"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path"
	"strings"
	"time"

	getter "github.com/hashicorp/go-getter/v2"
)

// maxAnswer bounds what is read of an answer that is no file, in bytes.
const maxAnswer = 4 << 10

// bucket gets one file out of a bucket of a cloud.
type bucket struct {
	scheme string // s3 of s3::https://... and s3://...
	limit  time.Duration
	// detector makes an address of one without a scheme; "" where it is of no bucket.
	detector func(source string) (string, error)
	// request is signed.
	request func(ctx context.Context, address *url.URL) (*http.Request, error)
}

var _ getter.Getter = (*bucket)(nil)

var errFolder = errors.New("it is a folder of a bucket; give the address of one file")

// Get implements getter.Getter.
func (*bucket) Get(context.Context, *getter.Request) error { return errFolder }

// Mode implements getter.Getter.
func (*bucket) Mode(context.Context, *url.URL) (getter.Mode, error) { return getter.ModeFile, nil }

// Detect implements getter.Getter: whether the source is of a bucket of this kind.
func (b *bucket) Detect(req *getter.Request) (bool, error) {
	if req.Src == "" || req.Forced != "" && req.Forced != b.scheme {
		return false, nil
	}
	if u, err := url.Parse(req.Src); err == nil && u.Scheme != "" {
		return req.Forced == b.scheme || u.Scheme == b.scheme, nil
	}
	address, err := b.detector(req.Src)
	if err != nil || address == "" {
		return false, err
	}
	req.Src = address
	return true, nil
}

// GetFile implements getter.Getter. The file has its name when it is whole.
func (b *bucket) GetFile(ctx context.Context, req *getter.Request) error {
	if b.limit > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeoutCause(ctx, b.limit, fmt.Errorf("the download took more than %s (PACKER_GETTER_READ_TIMEOUT)", b.limit))
		defer cancel()
	}
	request, err := b.request(ctx, req.URL())
	if err != nil {
		return fmt.Errorf("%s: %w", b.scheme, err)
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return fmt.Errorf("%s: %w", b.scheme, err)
	}
	body := response.Body
	defer func() { _ = body.Close() }()
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("%s: %s", b.scheme, refusal(response))
	}
	if req.ProgressListener != nil {
		body = req.ProgressListener.TrackProgress(path.Base(request.URL.Path), 0, response.ContentLength, body)
	}
	part := req.Dst + ".part"
	if err := req.CopyReader(part, body, 0o666, 0); err != nil {
		_ = os.Remove(part)
		if ctx.Err() != nil {
			err = context.Cause(ctx)
		}
		return fmt.Errorf("%s: %w", b.scheme, err)
	}
	return os.Rename(part, req.Dst)
}

// refusal is what a cloud says instead of a file.
func refusal(r *http.Response) string {
	text := "the server answers " + r.Status
	var said struct{ Code, Message string }
	if raw, err := io.ReadAll(io.LimitReader(r.Body, maxAnswer)); err == nil && xml.Unmarshal(raw, &said) == nil && said.Code+said.Message != "" {
		text += fmt.Sprintf(" (%s)", strings.Trim(said.Code+": "+said.Message, ": "))
	}
	if region := r.Header.Get("X-Amz-Bucket-Region"); region != "" && r.StatusCode != http.StatusNotFound {
		text += fmt.Sprintf("; the bucket is in %s: its address is https://s3-%s.amazonaws.com/BUCKET/KEY", region, region)
	}
	return text
}

// object are the bucket and the key of a path that begins with them.
func object(location string) (bucket, key string, err error) {
	bucket, key, _ = strings.Cut(strings.TrimPrefix(location, "/"), "/")
	if bucket == "" || key == "" {
		return "", "", fmt.Errorf("the path %q names no file in a bucket; it has the form /BUCKET/KEY", cmp.Or(location, "/"))
	}
	return bucket, key, nil
}

// escape writes a key as the clouds sign it: every byte that is not unreserved is escaped,
// the slashes stay.
func escape(key string) string {
	parts := strings.Split(key, "/")
	for i, p := range parts {
		parts[i] = strings.ReplaceAll(url.QueryEscape(p), "+", "%20")
	}
	return strings.Join(parts, "/")
}
