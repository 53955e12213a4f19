package download

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	getter "github.com/hashicorp/go-getter/v2"
)

// signature is AWS's version 4, worked out from the description of it and not with its SDK.
// https://docs.aws.amazon.com/AmazonS3/latest/API/sig-v4-header-based-auth.html
func signature(r *http.Request, secret, region string) string {
	m := regexp.MustCompile(`SignedHeaders=([^,]+)`).FindStringSubmatch(r.Header.Get("Authorization"))
	if m == nil {
		return "unsigned"
	}
	var headers strings.Builder
	for name := range strings.SplitSeq(m[1], ";") {
		value := r.Header.Get(name)
		if name == "host" {
			value = r.Host
		}
		fmt.Fprintf(&headers, "%s:%s\n", name, value)
	}
	canonical := strings.Join([]string{r.Method, r.URL.EscapedPath(), r.URL.Query().Encode(), headers.String(), m[1], r.Header.Get("X-Amz-Content-Sha256")}, "\n")
	at := r.Header.Get("X-Amz-Date")
	scope := at[:8] + "/" + region + "/s3/aws4_request"
	hashed := sha256.Sum256([]byte(canonical))
	key := []byte("AWS4" + secret)
	for _, part := range append(strings.Split(scope, "/"), "AWS4-HMAC-SHA256\n"+at+"\n"+scope+"\n"+hex.EncodeToString(hashed[:])) {
		h := hmac.New(sha256.New, key)
		h.Write([]byte(part))
		key = h.Sum(nil)
	}
	return hex.EncodeToString(key)
}

const secret = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"

// s3Server is compatible with S3: it has one bucket, b, and one object.
func s3Server(t *testing.T) *httptest.Server {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		region := r.Header.Get("Authorization")
		region = strings.Split(region+"////", "/")[2]
		switch {
		case !strings.HasSuffix(r.Header.Get("Authorization"), "Signature="+signature(r, secret, region)):
			w.WriteHeader(http.StatusForbidden)
			fmt.Fprint(w, `<?xml version="1.0"?><Error><Code>SignatureDoesNotMatch</Code><Message>not signed with this key</Message></Error>`)
		case region == "eu-west-9":
			w.Header().Set("X-Amz-Bucket-Region", "eu-central-1")
			w.WriteHeader(http.StatusMovedPermanently)
		case r.URL.Path == "/b/short.vhd":
			w.Header().Set("Content-Length", "100")
			fmt.Fprint(w, "dis")
		case r.URL.Path != "/b/a dir/ä+(1).vhd" || r.URL.Query().Get("versionId") == "none":
			http.NotFound(w, r)
		default:
			fmt.Fprint(w, "disk")
		}
	}))
	t.Cleanup(server.Close)
	return server
}

// alone keeps the credentials of whoever runs the tests out of them.
func alone(t *testing.T) {
	t.Helper()
	none := filepath.Join(t.TempDir(), "none")
	for name, value := range map[string]string{
		"AWS_ACCESS_KEY_ID": "", "AWS_SECRET_ACCESS_KEY": "", "AWS_SESSION_TOKEN": "", "AWS_PROFILE": "", "AWS_METADATA_URL": "", "AWS_EC2_METADATA_DISABLED": "true",
		"AWS_CONTAINER_CREDENTIALS_RELATIVE_URI": "", "AWS_CONTAINER_CREDENTIALS_FULL_URI": "", "AWS_WEB_IDENTITY_TOKEN_FILE": "",
		"AWS_CONFIG_FILE": none, "AWS_SHARED_CREDENTIALS_FILE": none, "PACKER_CACHE_DIR": t.TempDir(),
	} {
		t.Setenv(name, value)
	}
}

func TestADiskComesOutOfABucketOfS3(t *testing.T) {
	alone(t)
	server := s3Server(t)
	file := "s3::" + server.URL + "/b/" + escape("a dir/ä+(1).vhd")
	in := "&aws_access_key_id=AKIDEXAMPLE&aws_access_key_secret=" + url.QueryEscape(secret)
	for name, c := range map[string]struct {
		address string
		env     bool // the credentials are in the environment
		wants   []string
	}{
		"keys in the address": {address: file + "?region=eu-north-1" + in},
		"a version":           {address: file + "?version=v1" + in},
		"the environment":     {address: file, env: true},
		"no credentials":      {address: file, wants: []string{"s3: there are no credentials of AWS", "AWS_ACCESS_KEY_ID"}},
		"the wrong key":       {address: file + "?aws_access_key_id=x&aws_access_key_secret=TopSecret", wants: []string{"s3: the server answers 403", "SignatureDoesNotMatch: not signed"}},
		"the wrong region":    {address: file + "?region=eu-west-9" + in, wants: []string{"301", "the bucket is in eu-central-1", "s3-eu-central-1.amazonaws.com"}},
		"no such version":     {address: file + "?version=none" + in, wants: []string{"404"}},
		"no such object":      {address: "s3::" + server.URL + "/b/x?x" + in, wants: []string{"404"}},
		"a cut answer":        {address: "s3::" + server.URL + "/b/short.vhd?x" + in, wants: []string{"unexpected EOF"}},
		"no object":           {address: "s3::" + server.URL + "/b?x" + in, wants: []string{"/BUCKET/KEY"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Setenv("PACKER_CACHE_DIR", t.TempDir())
			if c.env {
				t.Setenv("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE")
				t.Setenv("AWS_SECRET_ACCESS_KEY", secret)
			}
			path, _, err := fetch(t, Source{c.address, sum("disk")})
			if c.wants == nil {
				if err != nil || content(t, path) != "disk" {
					t.Fatalf("%s, %v", path, err)
				}
				return
			}
			for _, want := range c.wants {
				if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "TopSecret") {
					t.Errorf("%q is missing in %v", want, err)
				}
			}
			left, _ := filepath.Glob(filepath.Join(os.Getenv("PACKER_CACHE_DIR"), "*[^k]"))
			if len(left) > 0 {
				t.Errorf("left: %v", left)
			}
		})
	}
}

func TestS3IsAskedInTheRegionOfItsHost(t *testing.T) {
	alone(t)
	t.Setenv("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE")
	t.Setenv("AWS_SECRET_ACCESS_KEY", secret)
	for source, want := range map[string]string{
		"s3.amazonaws.com/b/k/x.vhd":                "https://s3.amazonaws.com/b/k/x.vhd us-east-1",
		"s3-eu-west-1.amazonaws.com/b/x.vhd":        "https://s3-eu-west-1.amazonaws.com/b/x.vhd eu-west-1",
		"s3.eu-west-1.amazonaws.com/b/x.vhd":        "https://s3.eu-west-1.amazonaws.com/b/x.vhd eu-west-1",
		"b.s3.amazonaws.com/x.vhd":                  "https://s3.amazonaws.com/b/x.vhd us-east-1",
		"my.b.s3-eu-west-1.amazonaws.com/x.vhd":     "https://s3-eu-west-1.amazonaws.com/my.b/x.vhd eu-west-1",
		"b.s3.cn-north-1.amazonaws.com.cn/x.vhd?y=": "https://s3.cn-north-1.amazonaws.com.cn/b/x.vhd cn-north-1",
		"example.com/b/x.vhd":                       "",
		"ec2.amazonaws.com/b/x.vhd":                 "",
	} {
		address, err := s3Address(source)
		if err != nil || (address == "") != (want == "") {
			t.Errorf("%s: %q, %v", source, address, err)
		}
		if address == "" {
			continue
		}
		u, err := url.Parse(address)
		if err != nil {
			t.Fatal(err)
		}
		r, err := s3Request(t.Context(), u)
		if err != nil {
			t.Fatal(err)
		}
		region := strings.Split(r.Header.Get("Authorization")+"////", "/")[2]
		if got := r.URL.String() + " " + region; got != want {
			t.Errorf("%s: %s, want %s", source, got, want)
		}
	}
}

func TestADiskComesOutOfGoogleCloudStorage(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.EscapedPath() != "/b/d/a%20b.vhd" || r.Header.Get("Authorization") != "Bearer token" {
			http.NotFound(w, r)
			return
		}
		fmt.Fprint(w, "disk")
	}))
	t.Cleanup(server.Close)
	token := func(context.Context) (string, error) { return "Bearer token", nil }
	for _, c := range []struct {
		source string
		token  func(context.Context) (string, error)
		want   string
	}{
		{"www.googleapis.com/storage/v1/b/d/a%20b.vhd", token, ""},
		{"gcs::https://www.googleapis.com/storage/v1/b/d/a%20b.vhd", token, ""},
		{"gcs::https://storage.googleapis.com/b/d/a%20b.vhd", token, ""},
		{"gcs://b/d/a%20b.vhd", token, ""},
		{"gcs://b/none.vhd", token, "404"},
		{"gcs://b", token, "/BUCKET/KEY"},
		{"gcs::https://www.googleapis.com/b/d.vhd", token, "/storage/v1/BUCKET/OBJECT"},
		{"www.googleapis.com/b", token, "no address of a file in Google Cloud Storage"},
		{"gcs://b/d/a%20b.vhd", func(context.Context) (string, error) { return "", errors.New("nobody is logged in") }, "gcloud auth application-default login"},
	} {
		b := &bucket{scheme: "gcs", detector: gcsAddress, request: gcs{server.URL, c.token}.request}
		client := getter.Client{Getters: []getter.Getter{b}}
		place, listener := filepath.Join(t.TempDir(), "x"), new(progress)
		_, err := client.Get(t.Context(), &getter.Request{Src: c.source, Dst: place, GetMode: getter.ModeFile, ProgressListener: listener})
		switch {
		case c.want == "" && (err != nil || content(t, place) != "disk" || listener.started.Load() != 1):
			t.Errorf("%s: %v, progress %d", c.source, err, listener.started.Load())
		case c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)):
			t.Errorf("%s: %v, want %s", c.source, err, c.want)
		}
	}
}

func TestABucketIsKnownByItsAddress(t *testing.T) {
	all := client(readTimeout)
	for source, want := range map[string]string{
		"s3::https://example.com/b/k": "s3", "s3://example.com/b/k": "s3", "s3.amazonaws.com/b/k": "s3",
		"gcs::https://www.googleapis.com/storage/v1/b/o": "gcs", "gcs://b/o": "gcs", "www.googleapis.com/storage/v1/b/o": "gcs",
		"https://s3.amazonaws.com/b/k": "", "https://www.googleapis.com/storage/v1/b/o": "", "git::https://s3.amazonaws.com/b/k": "", "": "",
	} {
		got := ""
		for _, g := range all.Getters {
			b, ok := g.(*bucket)
			if !ok {
				continue
			}
			if is, err := getter.Detect(&getter.Request{Src: source}, b); err != nil {
				t.Errorf("%s: %v", source, err)
			} else if is {
				got += b.scheme
			}
		}
		if got != want {
			t.Errorf("%q is of %q, want %q", source, got, want)
		}
	}
	if err := (&bucket{}).Get(t.Context(), nil); !errors.Is(err, errFolder) {
		t.Error(err)
	}
}
