// Package sam expands the AWS Serverless Application Model: it replaces the resources of a template that names the transform
// AWS::Serverless-2016-10-31 by plain CloudFormation, with the logical ids and properties that AWS's own translator gives them.
// It is pure.
//
// What there is: Globals for functions, HTTP APIs and tables; AWS::Serverless::Function with events of type HttpApi, SQS and SNS
// and nine policy templates; AWS::Serverless::HttpApi, implicit and explicit; AWS::Serverless::SimpleTable. Everything else is
// refused with an error that names the resource and what it asks for.
//
// A function's CodeUri has to name an object in S3, as a URI or as Bucket and Key: whoever deploys a local folder replaces it
// before.
//
// Source of the rules: the "AWS SAM specification" of the SAM Developer Guide, and the translations published with the
// translator's own tests.
package sam
