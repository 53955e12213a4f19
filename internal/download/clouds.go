package download

import (
	"cmp"
	"context"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"golang.org/x/oauth2/google"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/lazyregexp"
)

const (
	// emptyHash is the SHA-256 of no bytes, which a GET has.
	emptyHash = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
	// usEast is the region of addresses that name none.
	usEast = "us-east-1"
	// readObjects is all that a token is asked for.
	readObjects = "https://www.googleapis.com/auth/devstorage.read_only"
)

// amazon is a host of S3: a bucket may stand before it, a region in it.
var amazon = lazyregexp.New(`^(?:(.+)\.)?s3(?:[.-]([a-z0-9-]+))?\.amazonaws\.com(?:\.cn)?$`)

// s3Address completes HOST/BUCKET/KEY and BUCKET.HOST/KEY.
func s3Address(source string) (string, error) {
	host, location, _ := strings.Cut(source, "/")
	m := amazon.FindStringSubmatch(host)
	if m == nil {
		return "", nil
	}
	if m[1] != "" {
		host, location = strings.TrimPrefix(host, m[1]+"."), m[1]+"/"+location
	}
	return "https://" + host + "/" + location, nil
}

// s3Request asks for an object with the credentials of the address, or else those of the
// environment, the profile or the machine, as every program of AWS finds them. The host may
// be one that is compatible with S3. https://docs.aws.amazon.com/AmazonS3/latest/userguide/RESTAuthentication.html
func s3Request(ctx context.Context, address *url.URL) (*http.Request, error) {
	q := address.Query()
	bucket, key, err := object(address.Path)
	if err != nil {
		return nil, err
	}
	region := cmp.Or(q.Get("region"), usEast)
	if m := amazon.FindStringSubmatch(address.Hostname()); m != nil {
		region = cmp.Or(m[2], usEast)
	}
	access, err := s3Credentials(ctx, q, region)
	if err != nil {
		return nil, err
	}
	target := url.URL{Scheme: "https", Host: address.Host, Path: "/" + bucket + "/" + key}
	target.RawPath = "/" + escape(bucket+"/"+key)
	if address.Scheme == "http" {
		target.Scheme = "http"
	}
	if version := q.Get("version"); version != "" {
		target.RawQuery = url.Values{"versionId": {version}}.Encode()
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, target.String(), nil)
	if err != nil {
		return nil, err
	}
	request.Header.Set("X-Amz-Content-Sha256", emptyHash)
	plain := func(o *v4.SignerOptions) { o.DisableURIPathEscaping = true } // S3 escapes a path once
	return request, v4.NewSigner().SignHTTP(ctx, access, request, emptyHash, "s3", region, time.Now(), plain)
}

func s3Credentials(ctx context.Context, q url.Values, region string) (aws.Credentials, error) {
	if q.Has("aws_access_key_id") || q.Has("aws_access_key_secret") || q.Has("aws_access_token") {
		return credentials.NewStaticCredentialsProvider(q.Get("aws_access_key_id"), q.Get("aws_access_key_secret"), q.Get("aws_access_token")).Retrieve(ctx)
	}
	options := []func(*config.LoadOptions) error{config.WithRegion(region)}
	if profile := q.Get("aws_profile"); profile != "" {
		options = append(options, config.WithSharedConfigProfile(profile))
	}
	if metadata := os.Getenv("AWS_METADATA_URL"); metadata != "" {
		options = append(options, config.WithEC2IMDSEndpoint(metadata))
	}
	loaded, err := config.LoadDefaultConfig(ctx, options...)
	if err != nil {
		return aws.Credentials{}, err
	}
	found, err := loaded.Credentials.Retrieve(ctx)
	if err != nil {
		return aws.Credentials{}, fmt.Errorf("there are no credentials of AWS: %w; set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE; for a public file leave s3:: out of the address", err)
	}
	return found, nil
}

// gcsAddress completes www.googleapis.com/storage/VERSION/BUCKET/OBJECT.
func gcsAddress(source string) (string, error) {
	parts := strings.SplitN(source, "/", 5)
	if !strings.HasSuffix(parts[0], "googleapis.com") {
		return "", nil
	}
	if len(parts) < 5 {
		return "", fmt.Errorf("%q is no address of a file in Google Cloud Storage: it has the form www.googleapis.com/storage/v1/BUCKET/OBJECT", source)
	}
	return "https://" + source, nil
}

// gcs is Google Cloud Storage.
type gcs struct {
	base string // of its server; "": https://storage.googleapis.com
	// token is the value of Authorization; nil: of the application default credentials.
	token func(context.Context) (string, error)
}

// request asks for an object, https://cloud.google.com/storage/docs/xml-api/get-object-download
func (g gcs) request(ctx context.Context, address *url.URL) (*http.Request, error) {
	location := address.Path
	if host := address.Host; strings.HasSuffix(host, "googleapis.com") && host != "storage.googleapis.com" { // /storage/VERSION/BUCKET/OBJECT
		parts := strings.SplitN(location, "/", 4)
		if len(parts) != 4 || parts[1] != "storage" {
			return nil, fmt.Errorf("the path %q is none of a file; it has the form /storage/v1/BUCKET/OBJECT", location)
		}
		location = "/" + parts[3]
	} else if address.Scheme == "gcs" {
		location = "/" + address.Host + location
	}
	bucket, key, err := object(location)
	if err != nil {
		return nil, err
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, cmp.Or(g.base, "https://storage.googleapis.com")+"/"+escape(bucket+"/"+key), nil)
	if err != nil {
		return nil, err
	}
	token := g.token
	if token == nil {
		token = defaultToken
	}
	value, err := token(ctx)
	if err != nil {
		return nil, fmt.Errorf("there are no credentials of Google Cloud: %w; set GOOGLE_APPLICATION_CREDENTIALS, or run gcloud auth application-default login", err)
	}
	request.Header.Set("Authorization", value)
	return request, nil
}

func defaultToken(ctx context.Context) (string, error) {
	found, err := google.FindDefaultCredentials(ctx, readObjects)
	if err != nil {
		return "", err
	}
	token, err := found.TokenSource.Token()
	if err != nil {
		return "", err
	}
	return token.Type() + " " + token.AccessToken, nil
}
