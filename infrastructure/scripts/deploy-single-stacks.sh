#!/usr/bin/env bash
# Deploy the six stacks one by one, without packaging and without a bucket; print where orders go.
set -euo pipefail

usage() {
  cat <<'END'
Usage: deploy-single-stacks.sh --email ADDRESS [--prefix PREFIX] [--environment NAME] [--stack-name NAME]
                               [--boundary ARN]

  --email        who is notified of orders (required)
  --prefix       goes in front of every name (default: none)
  --environment  the API's stage, and a tag (default: dev)
  --stack-name   what the stacks' names begin with: NAME-iam, NAME-dynamodb, NAME-sqs, NAME-lambda, NAME-sns, NAME-api
                 (default: ecommerce-serverless-poc, with the prefix before it)
  --boundary     the permissions boundary of all roles (default: $WORKSHOP_BOUNDARY, else none)

Account and region come from the usual AWS variables and files. To try it without an account:
  eval "$(workshop local env)"
Exit code: 0 deployed, 1 not, 2 wrong usage.
END
}

# shellcheck source=/dev/null
. "$(dirname "$0")/options.bash"
email="" prefix="" environment="dev" stack_name="" boundary=${WORKSHOP_BOUNDARY:-}
read_options "email prefix environment stack-name boundary" "$@"
[ -n "$email" ] || wrong "Nobody is there to be notified: --email is missing."
need_aws
refuse_other_regions "$prefix"

templates=$(cd "$(dirname "$0")/../cloudformation" && pwd)
stack=${stack_name:-$(default_stack "$prefix")}

# deploy_one TEMPLATE STACK [PARAMETER=VALUE]...
deploy_one() {
  aws cloudformation deploy \
    --template-file "$templates/$1.yaml" \
    --stack-name "$2" \
    --parameter-overrides "Environment=$environment" "Prefix=$prefix" "${@:3}" \
    --capabilities CAPABILITY_NAMED_IAM \
    --no-fail-on-empty-changeset
}

# In this order: each names, or imports, what the ones before it made.
deploy_one iam "$stack-iam" "Boundary=$boundary"
deploy_one dynamodb "$stack-dynamodb"
deploy_one sqs "$stack-sqs"
deploy_one lambda "$stack-lambda"
deploy_one sns "$stack-sns" "EmailAddress=$email"
deploy_one api-gateway "$stack-api"

print_endpoint "$stack-api"
