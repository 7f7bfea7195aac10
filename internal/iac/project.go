// Package iac turns a project folder, as people keep it for SAM or CloudFormation, into a template that a cloud can deploy: local code
// is packed, uploaded and named in its place.
package iac

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	"croft/internal/cfn/template"
	"croft/internal/control"
	"croft/internal/engine/bundle"
)

// Project is one template with the folder that its paths are relative to.
type Project struct {
	// Name is what the stack is called when nobody says otherwise: the folder's name, made fit for it.
	Name string
	// File is the template's path, as errors show it.
	File string
	dir  string
}

// templateNames are the files looked for in a project folder, in this order.
func templateNames() []string {
	return []string{"template.yaml", "template.yml", "template.json"}
}

// Open finds the template at path: a template file, or a folder that holds one.
func Open(path string) (*Project, error) {
	info, err := os.Stat(path)
	if errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("%s does not exist; name a folder with a template.yaml, or a template file", path)
	}
	if err != nil {
		return nil, err
	}
	abs, err := filepath.Abs(path)
	if err != nil {
		return nil, err
	}
	if !info.IsDir() {
		dir := filepath.Dir(abs)
		return &Project{Name: stackName(filepath.Base(dir)), File: path, dir: dir}, nil
	}
	for _, name := range templateNames() {
		if _, err := os.Stat(filepath.Join(abs, name)); err == nil {
			return &Project{Name: stackName(filepath.Base(abs)), File: filepath.Join(path, name), dir: abs}, nil
		}
	}
	return nil, fmt.Errorf("the folder %s has no %s; name one that has, or a template file", path, strings.Join(templateNames(), ", "))
}

var notInNames = regexp.MustCompile(`[^A-Za-z0-9]+`)

// stackName makes name fit CloudFormation's rule for stack names: letters, digits and hyphens, a letter first, at most 128 characters.
func stackName(name string) string {
	name = strings.Trim(notInNames.ReplaceAllString(name, "-"), "-")
	if name == "" || !isLetter(name[0]) {
		name = "app-" + name
	}
	return strings.TrimRight(name[:min(len(name), 128)], "-")
}

func isLetter(c byte) bool { return c|0x20 >= 'a' && c|0x20 <= 'z' }

// Uploader stores a deployment package where the cloud finds it.
type Uploader func(ctx context.Context, zip []byte) (control.Asset, error)

// Build is Builder.Build of a new Builder.
func (p *Project) Build(ctx context.Context, upload Uploader, say func(string)) (string, error) {
	return p.Builder(upload, say).Build(ctx)
}

// Builder returns what builds the project as often as its files change. say is told what a person should know.
func (p *Project) Builder(upload Uploader, say func(string)) *Builder {
	return &Builder{project: p, upload: upload, say: say, done: map[string]control.Asset{}, code: map[string]bool{}, said: map[string]bool{}}
}

// Builder builds one project and packs code again only when it is told that it changed. It is for one goroutine.
type Builder struct {
	project *Project
	upload  Uploader
	say     func(string)
	// done holds what was uploaded, by path: functions often share a folder.
	done map[string]control.Asset
	// code are the paths of the code that the last template named.
	code map[string]bool
	// scanning notes the paths and packs nothing.
	scanning bool
	// said keeps from saying the same again.
	said map[string]bool
}

// Build returns the template as JSON, with local code uploaded and replaced by where it lies. Errors name the template's file and,
// where they can, the line.
func (b *Builder) Build(ctx context.Context) (string, error) {
	p := b.project
	src, err := os.ReadFile(p.path())
	if err != nil {
		return "", err
	}
	if len(bytes.TrimSpace(src)) == 0 {
		return "", fmt.Errorf("the template %s is empty", p.File)
	}
	root, _, err := template.ParseValue(src)
	if err != nil {
		return "", errors.New(template.Located(p.File, err))
	}
	if err := checkTransform(root); err != nil {
		return "", errors.New(template.Located(p.File, err))
	}
	clear(b.code)
	if root, err = b.template(ctx, root); err != nil {
		return "", errors.New(template.Located(p.File, err))
	}
	out, err := json.Marshal(root)
	return string(out), err
}

// path is the template's absolute path.
func (p *Project) path() string { return filepath.Join(p.dir, filepath.Base(p.File)) }

// checkTransform names what is missing where a SAM template does not say that it is one: a deployment could only say that the resource type is unknown.
func checkTransform(root *template.Value) error {
	if root.Get("Transform") != nil {
		return nil
	}
	for _, r := range root.Get("Resources").Fields() {
		typ := r.Value.Get("Type")
		if name, _ := typ.Str(); strings.HasPrefix(name, "AWS::Serverless::") {
			return &template.Error{Message: name + " needs this line at the top of the template: Transform: AWS::Serverless-2016-10-31", Pos: typ.Pos()}
		}
	}
	return nil
}

func (b *Builder) template(ctx context.Context, root *template.Value) (*template.Value, error) {
	if code := root.Get("Globals").Get("Function").Get("CodeUri"); code.Is(template.String) {
		packed, err := b.pack(ctx, code, "Bucket", "Key")
		if err != nil {
			return nil, err
		}
		globals := root.Get("Globals")
		root = root.Set("Globals", globals.Set("Function", globals.Get("Function").Set("CodeUri", packed)))
	}
	resources := root.Get("Resources")
	for _, f := range resources.Fields() {
		changed, err := b.resource(ctx, f.Value)
		if err != nil {
			return nil, err
		}
		resources = resources.Set(f.Key, changed)
	}
	if resources == nil {
		return root, nil
	}
	return root.Set("Resources", resources), nil
}

func (b *Builder) resource(ctx context.Context, r *template.Value) (*template.Value, error) {
	typ, _ := r.Get("Type").Str()
	property, bucket, key := "", "", ""
	switch typ {
	case "AWS::Serverless::Function":
		property, bucket, key = "CodeUri", "Bucket", "Key"
	case "AWS::Lambda::Function":
		property, bucket, key = "Code", "S3Bucket", "S3Key"
	case "AWS::Serverless::LayerVersion":
		property, bucket, key = "ContentUri", "Bucket", "Key"
	case "AWS::Lambda::LayerVersion":
		property, bucket, key = "Content", "S3Bucket", "S3Key"
	default:
		return r, nil
	}
	properties := r.Get("Properties")
	code := properties.Get(property)
	if !code.Is(template.String) {
		return r, nil
	}
	packed, err := b.pack(ctx, code, bucket, key)
	if err != nil {
		return nil, err
	}
	return r.Set("Properties", properties.Set(property, packed)), nil
}

// pack uploads the code at a local path and returns the value that names it. Other values stay as they are.
func (b *Builder) pack(ctx context.Context, code *template.Value, bucket, key string) (*template.Value, error) {
	path, _ := code.Str()
	if strings.HasPrefix(path, "s3://") || strings.HasPrefix(path, "https://") {
		return code, nil
	}
	full := path
	if !filepath.IsAbs(path) {
		full = filepath.Join(b.project.dir, path)
	}
	full = filepath.Clean(full)
	b.code[full] = true
	if b.scanning {
		return code, nil
	}
	asset, ok := b.done[full]
	if !ok {
		zip, err := b.zip(ctx, full)
		if err != nil {
			return nil, &template.Error{Message: fmt.Sprintf("the code at %s cannot be packed: %v", path, err), Pos: code.Pos()}
		}
		if asset, err = b.upload(ctx, zip); err != nil {
			return nil, err
		}
		b.done[full] = asset
	}
	v := template.NewMap(template.F(bucket, template.NewString(asset.Bucket)), template.F(key, template.NewString(asset.Key)))
	return v.WithPos(code.Pos()), nil
}

func (b *Builder) zip(ctx context.Context, path string) ([]byte, error) {
	info, err := os.Stat(path)
	if errors.Is(err, os.ErrNotExist) {
		return nil, errors.New("there is no such folder or file")
	}
	if err != nil {
		return nil, err
	}
	if !info.IsDir() {
		if filepath.Ext(path) != ".zip" {
			return nil, errors.New("it is neither a folder nor a .zip file")
		}
		return os.ReadFile(path)
	}
	if _, err := os.Stat(filepath.Join(path, "requirements.txt")); err == nil {
		b.sayOnce(fmt.Sprintf("warning: %s/requirements.txt is not installed by croft; packages beyond boto3 must lie in the folder: pip install -r %s/requirements.txt --target %s",
			path, path, path))
	}
	if size := folderSize(path); size > largeFolder {
		b.sayOnce(fmt.Sprintf("  packing %s, %d MB …", path, size>>20))
	}
	var out bytes.Buffer
	err = bundle.Zip(ctx, &out, path)
	return out.Bytes(), err
}

func (b *Builder) sayOnce(text string) {
	if !b.said[text] {
		b.said[text] = true
		b.say(text)
	}
}

// largeFolder is the size in bytes from which packing takes long enough to be announced.
const largeFolder = 16 << 20

func folderSize(path string) (size int64) {
	// What cannot be read is reported by the packing.
	_ = filepath.WalkDir(path, func(_ string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return nil
		}
		if info, err := d.Info(); err == nil {
			size += info.Size()
		}
		return nil
	})
	return size
}
