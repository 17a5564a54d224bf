#!/usr/bin/env bash
# Deploy the main stack with its nested stacks: make the bucket, package, deploy, print where orders go.
set -euo pipefail

usage() {
  cat <<'END'
Usage: deploy.sh --email ADDRESS [--prefix PREFIX] [--environment NAME] [--stack-name NAME] [--bucket NAME]
                 [--boundary ARN]

  --email        who is notified of orders (required)
  --prefix       goes in front of every name (default: none)
  --environment  the API's stage, and a tag (default: dev)
  --stack-name   default: ecommerce-serverless-poc, with the prefix before it
  --bucket       where the nested templates go; made if it is not there
                 (default: ecommerce-serverless-poc-ACCOUNT-REGION-templates, shared by all prefixes)
  --boundary     the permissions boundary of all roles (default: $WORKSHOP_BOUNDARY, else none)

Account and region come from the usual AWS variables and files. To try it without an account:
  eval "$(workshop local env)"
Exit code: 0 deployed, 1 not, 2 wrong usage.
END
}

# shellcheck source=/dev/null
. "$(dirname "$0")/options.bash"
email="" prefix="" environment="dev" stack_name="" bucket="" boundary=${WORKSHOP_BOUNDARY:-}
read_options "email prefix environment stack-name bucket boundary" "$@"
[ -n "$email" ] || wrong "Nobody is there to be notified: --email is missing."
need_aws
refuse_other_regions "$prefix"

templates=$(cd "$(dirname "$0")/../cloudformation" && pwd)
stack=${stack_name:-$(default_stack "$prefix")}
bucket=${bucket:-$(own_bucket)}
packaged=$(mktemp)
trap 'rm -f "$packaged"' EXIT

if ! aws s3api head-bucket --bucket "$bucket" >/dev/null 2>&1; then
  aws s3 mb "s3://$bucket"
fi
aws cloudformation package \
  --template-file "$templates/main.yaml" \
  --s3-bucket "$bucket" \
  --s3-prefix "$stack" \
  --output-template-file "$packaged" >/dev/null
aws cloudformation deploy \
  --template-file "$packaged" \
  --stack-name "$stack" \
  --parameter-overrides "Environment=$environment" "EmailAddress=$email" "Prefix=$prefix" "Boundary=$boundary" \
  --capabilities CAPABILITY_NAMED_IAM \
  --no-fail-on-empty-changeset

print_endpoint "$stack"
