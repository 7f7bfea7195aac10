package lambda

import (
	"encoding/json"
	"math"
	"slices"
	"strings"
	"time"

	"croft/internal/awsapi/lambda"
	"croft/internal/engine/runtimes"
)

// awsRuntimes are those that AWS runs, in the order in which it names them. Recorded.
func awsRuntimes() []string {
	return []string{
		"nodejs20.x", "python3.14", "provided.al2023", "python3.12", "python3.13", "nodejs24.x", "nodejs22.x", "java25", "python3.10",
		"python3.11", "java21", "ruby3.3", "ruby3.4", "ruby3.2", "python3.8", "python3.9", "java17", "nodejs16.x", "dotnet10", "dotnet8",
		"java11", "dotnet6", "nodejs18.x", "provided.al2", "java8.al2",
	}
}

// endedRuntimes are those that AWS ran once.
func endedRuntimes() []string {
	return []string{
		"nodejs", "nodejs4.3", "nodejs4.3-edge", "nodejs6.10", "nodejs8.10", "nodejs10.x", "nodejs12.x", "nodejs14.x", "java8",
		"python2.7", "python3.6", "python3.7", "dotnetcore1.0", "dotnetcore2.0", "dotnetcore2.1", "dotnetcore3.1", "go1.x",
		"ruby2.5", "ruby2.7", "provided",
	}
}

func checkRuntime(name string) error {
	switch {
	case slices.Contains(runtimes.Names(), name):
		return nil
	case slices.Contains(awsRuntimes(), name):
		return invalid("croft does not run the runtime %s: it runs %s.", name, strings.Join(runtimes.Names(), ", "))
	case slices.Contains(endedRuntimes(), name):
		return invalid("The runtime parameter of %s is no longer supported for creating or updating AWS Lambda functions. "+
			"We recommend you use a supported runtime while creating or updating functions.", name)
	}
	return invalid("Value %s at 'runtime' failed to satisfy constraint: Member must satisfy enum value set: [%s] or be a valid ARN",
		name, strings.Join(awsRuntimes(), ", "))
}

// checkLimits checks the numbers whose bounds in the model are wider than the service's.
func (s *Service) checkLimits(timeout, memory *int32) error {
	longest := int32(maxTimeout)
	if s.limits.MaxTimeout > 0 {
		longest = int32(min(s.limits.MaxTimeout/time.Second, math.MaxInt32))
	}
	if timeout != nil && *timeout > longest {
		return validation("Value '%d' at 'timeout' failed to satisfy constraint: Member must have value less than or equal to %d", *timeout, longest)
	}
	if memory != nil && *memory > maxMemory {
		return validation("Value '%d' at 'memorySize' failed to satisfy constraint: Member must have value less than or equal to %d", *memory, maxMemory)
	}
	return nil
}

const maxEnvironment = 4 << 10

// reservedVariables are the environment variables that Lambda sets itself and does not let functions set. Source: Lambda
// Developer Guide, "Using environment variables".
func reservedVariables() []string {
	return []string{
		"_HANDLER", "_X_AMZN_TRACE_ID", "AWS_DEFAULT_REGION", "AWS_REGION", "AWS_EXECUTION_ENV", "AWS_LAMBDA_FUNCTION_NAME",
		"AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "AWS_LAMBDA_FUNCTION_VERSION", "AWS_LAMBDA_INITIALIZATION_TYPE", "AWS_LAMBDA_LOG_GROUP_NAME",
		"AWS_LAMBDA_LOG_STREAM_NAME", "AWS_ACCESS_KEY", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN",
		"AWS_LAMBDA_RUNTIME_API", "LAMBDA_TASK_ROOT", "LAMBDA_RUNTIME_DIR",
	}
}

// environment checks a function's variables and returns them. A given environment without variables is an empty one.
func environment(in *lambda.Environment) (map[string]string, error) {
	if in == nil {
		return nil, nil
	}
	if len(in.Variables) == 0 {
		return map[string]string{}, nil
	}
	var taken []string
	for _, name := range reservedVariables() {
		if _, set := in.Variables[name]; set {
			taken = append(taken, name)
		}
	}
	if len(taken) > 0 {
		return nil, invalid("Lambda was unable to configure your environment variables because the environment variables you have provided contains "+
			"reserved keys that are currently not supported for modification. Reserved keys used in this request: %s", strings.Join(taken, ", "))
	}
	var text strings.Builder
	e := json.NewEncoder(&text)
	e.SetEscapeHTML(false)
	if err := e.Encode(in.Variables); err != nil {
		return nil, err
	}
	measured := strings.TrimSuffix(text.String(), "\n")
	if len(measured) > maxEnvironment {
		return nil, invalid("Lambda was unable to configure your environment variables because the environment variables you have provided exceeded "+
			"the 4KB limit. String measured: %s", measured)
	}
	return in.Variables, nil
}

// refusal is a parameter that croft does not honour, and whether the request gives it a value that matters.
type refusal struct {
	given          bool
	parameter, why string
}

func firstRefused(list ...refusal) error {
	for _, r := range list {
		if r.given {
			return refused(r.parameter, r.why)
		}
	}
	return nil
}

func checkTags(tags map[string]string) error {
	if len(tags) > maxTags {
		return invalid("The number of tags exceeds the limit of %d.", maxTags)
	}
	return nil
}
