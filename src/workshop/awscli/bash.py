"""What the scripts of AWS CLI calls consist of beside the calls: a head, and the functions of bash that they use.

Words in angle brackets are filled in by `workshop.awscli.script`.
"""

HEAD = """\
#!/usr/bin/env bash
# <TITLE>
#
# Written by `workshop cli-script` from the calls that the steps make. Needs the AWS CLI (version 1 or 2) and zip.
# <AGAIN>
# Usage: <USAGE>
set -euo pipefail

REGION=${AWS_REGION:-${AWS_DEFAULT_REGION:-<REGION>}}
export AWS_REGION="$REGION" AWS_DEFAULT_REGION="$REGION" AWS_PAGER=""

# Version 1 of the AWS CLI overlooks AWS_ENDPOINT_URL for SQS; the option serves both versions.
aws() { command aws ${AWS_ENDPOINT_URL:+--endpoint-url "$AWS_ENDPOINT_URL"} "$@"; }

ACCOUNT=$(aws sts get-caller-identity --query Account --output text)
WORK=$(mktemp -d)
trap 'rm -rf "$WORK"' EXIT

# The tags of all that the script makes. A policy can't be told by tags alone, so its path and description say the same.
PROJECT=<PROJECT> PARTICIPANT=<PARTICIPANT>

# marks KIND NAME: what something says of whose it is; fails with AWS's answer if there is no such thing.
marks() {
  local list="Tags[?Key=='Project'].Value | [0], Tags[?Key=='Participant'].Value | [0]"
  local map="Tags.Project, Tags.Participant" arn="$REGION:$ACCOUNT"
  case $1 in
    policy)
      aws iam get-policy --policy-arn "arn:aws:iam::$ACCOUNT:policy/$PROJECT/$PARTICIPANT/$2" \\
        --query Policy.Description --output text
      ;;
    role)
      aws iam get-role --role-name "$2" --query "Role.[$list, Tags[?Key=='Region'].Value | [0]]" --output text
      ;;
    table)
      # Of a table that is not there, the tags are denied, not missing.
      aws dynamodb describe-table --table-name "$2" >/dev/null || return
      aws dynamodb list-tags-of-resource --resource-arn "arn:aws:dynamodb:$arn:table/$2" --query "[$list]" --output text
      ;;
    queue)
      # A name that nobody has fails here, before the tags are asked for.
      local url
      url=$(aws sqs get-queue-url --queue-name "$2" --query QueueUrl --output text) || return
      aws sqs list-queue-tags --queue-url "$url" --query "[$map]" --output text
      ;;
    log-group)
      aws logs list-tags-for-resource --resource-arn "arn:aws:logs:$arn:log-group:$2" \\
        --query "[tags.Project, tags.Participant]" --output text
      ;;
    function) aws lambda get-function --function-name "$2" --query "[$map]" --output text ;;
    trigger)
      aws lambda list-tags --resource "arn:aws:lambda:$arn:event-source-mapping:$2" --query "[$map]" --output text
      ;;
    topic) aws sns list-tags-for-resource --resource-arn "arn:aws:sns:$arn:$2" --query "[$list]" --output text ;;
  esac
}

# expected KIND: what `marks` prints for one of ours. Roles and policies, which stand in all regions, say theirs.
expected() {
  case $1 in
    policy) echo "<MARK>" ;;
    role) printf '%s\\t%s\\t%s\\n' "$PROJECT" "$PARTICIPANT" "$REGION" ;;
    *) printf '%s\\t%s\\n' "$PROJECT" "$PARTICIPANT" ;;
  esac
}

# whose KIND NAME: returns 0 if it is ours, 1 if there is no such thing, 2 if it belongs to somebody else.
whose() {
  if ! SAYS=$(marks "$1" "$2" 2>"$WORK/answer"); then
    if grep -qE '<NOT FOUND>' "$WORK/answer"; then return 1; fi
    cat "$WORK/answer" >&2
    exit 1
  fi
  [ "$SAYS" = "$(expected "$1")" ] || return 2
}

# foreign KIND NAME: says why something is left as it is.
foreign() {
  local should
  should=$(expected "$1")
  printf 'The %s %s is marked "%s", ours would be "%s".\\n' "$1" "$2" "${SAYS//$'\\t'/, }" "${should//$'\\t'/, }" >&2
}
"""

MISSING = """
# missing KIND NAME: whether it still has to be created. Ends the script where the name belongs to somebody else.
missing() {
  local whose=0
  whose "$1" "$2" || whose=$?
  case $whose in
    0) echo "  exists: $1 $2" && return 1 ;;
    1) return 0 ;;
  esac
  foreign "$1" "$2"
  case $1 in
    # IAM keeps one of a name for all regions.
    role | policy) echo "Error: It was left as it is. Choose another prefix, or the region of its mark." >&2 ;;
    *) echo "Error: It was left as it is. Choose another prefix: workshop cli-script --prefix NAME" >&2 ;;
  esac
  exit 1
}

# none VALUE: whether a query found nothing.
none() { [ -z "$1" ] || [ "$1" = None ] || [ "$1" = False ]; }

# part COMMAND…: adds a part of the API. If it exists already, that is fine.
part() {
  "$@" >/dev/null 2>"$WORK/answer" && return
  if ! grep -q ConflictException "$WORK/answer"; then
    cat "$WORK/answer" >&2
    return 1
  fi
}
"""

#: For clean-up: what is not ours stays.
STANDS = """
# stands KIND NAME: whether there is such a thing, and it is ours. What belongs to others, or to another region, stays.
stands() {
  local whose=0
  whose "$1" "$2" || whose=$?
  if [ "$whose" = 2 ]; then
    foreign "$1" "$2"
    echo "  It is left as it is." >&2
  fi
  return "$whose"
}

# none VALUE: whether a query found nothing.
none() { [ -z "$1" ] || [ "$1" = None ]; }

# drop COMMAND…: deletes something. If it is gone already, or goes with its topic, that is fine.
drop() {
  "$@" >/dev/null 2>"$WORK/answer" && return
  if ! grep -qE '(<NOT FOUND>|parameter: SubscriptionArn)' "$WORK/answer"; then
    cat "$WORK/answer" >&2
    return 1
  fi
}
"""

RETRY = """
# retry COMMAND…: a new role needs some seconds until every service knows it. Tries again on just these answers, for
# five minutes.
retry() {
  local deadline=$((SECONDS + 300))
  until "$@" 2>"$WORK/answer"; do
    if ! grep -qE <PATTERNS> "$WORK/answer" || ((SECONDS > deadline)); then
      cat "$WORK/answer" >&2
      return 1
    fi
    sleep 2
  done
}
"""

TRIGGER = """
# Waits until a trigger works; the AWS CLI has no waiter for it.
wait_for_trigger() {
  local deadline=$((SECONDS + 300))
  until [ "$(aws lambda get-event-source-mapping --uuid "$1" --query State --output text)" = Enabled ]; do
    ((SECONDS < deadline)) || { echo "The trigger $1 does not get ready." >&2; return 1; }
    sleep 2
  done
}
"""

#: Before the first change, all names at once.
FIRST = """
# Stop before the first change where a name is taken that IAM keeps for all regions.
for name in <POLICIES>; do missing policy "$name" >/dev/null || true; done
for name in <ROLES>; do missing role "$name" >/dev/null || true; done
"""
NOT_FOUND = "NotFound|NoSuchEntity|NonExistent|DoesNotExist"
