#!/usr/bin/env bash
# Deploy the main stack with its nested stacks: make the bucket, package, deploy, print where orders go.
set -euo pipefail

usage() {
  cat <<'END'
Usage: deploy.sh --email ADDRESS [--prefix PREFIX] [--environment NAME] [--stack-name NAME] [--bucket NAME]

  --email        who is notified of orders (required)
  --prefix       goes in front of every name (default: none)
  --environment  the API's stage, and a tag (default: dev)
  --stack-name   default: ecommerce-serverless-poc, with the prefix before it
  --bucket       where the nested templates go; made if it is not there
                 (default: ecommerce-serverless-poc-ACCOUNT-REGION-templates, shared by all prefixes)

Account and region come from the usual AWS variables and files. To try it without an account:
  eval "$(workshop local env)"
Exit code: 0 deployed, 1 not, 2 wrong usage.
END
}

wrong() {
  echo "Error: $1 See --help." >&2
  exit 2
}

email="" prefix="" environment="dev" stack="" bucket=""
while [ $# -gt 0 ]; do
  case $1 in
    -h | --help) usage && exit 0 ;;
    --email | --prefix | --environment | --stack-name | --bucket)
      [ $# -ge 2 ] || wrong "$1 needs a value."
      case $1 in
        --email) email=$2 ;;
        --prefix) prefix=$2 ;;
        --environment) environment=$2 ;;
        --stack-name) stack=$2 ;;
        --bucket) bucket=$2 ;;
      esac
      shift 2
      ;;
    *) wrong "There is no option $1." ;;
  esac
done
[ -n "$email" ] || wrong "Nobody is there to be notified: --email is missing."
command -v aws >/dev/null || { echo "Error: The AWS CLI is missing (aws)." >&2; exit 1; }

templates=$(cd "$(dirname "$0")/../cloudformation" && pwd)
stack=${stack:-${prefix:+$prefix-}ecommerce-serverless-poc}
account=$(aws sts get-caller-identity --query Account --output text)
region=${AWS_REGION:-${AWS_DEFAULT_REGION:-$(aws configure get region || true)}}
bucket=${bucket:-ecommerce-serverless-poc-$account-${region:-us-east-1}-templates}
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
  --parameter-overrides "Environment=$environment" "EmailAddress=$email" "Prefix=$prefix" \
  --capabilities CAPABILITY_NAMED_IAM \
  --no-fail-on-empty-changeset

aws cloudformation describe-stacks --stack-name "$stack" \
  --query "Stacks[0].Outputs[?OutputKey=='ApiEndpoint'].OutputValue" --output text
