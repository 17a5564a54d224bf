"""`redrive --discard` and judges that are not the workshop's own: what they reject may be a good order."""

import json

import pytest
from support import messages, refused_by_the_function, row, send

from workshop.base.errors import WorkshopError
from workshop.build.function_code import packed
from workshop.commands.redrive import redrive
from workshop.orders import dead_letters, discarding
from workshop.orders.mail import listen_to_mail

ORDERS = "ecommerce-orders-dlq"
ORDER = {"productId": "12345", "quantity": 2}
#: JSON may say half a character, which no table takes.
NO_TEXT = '{"productId": "\\ud800", "quantity": 1}'
#: Somebody's change to POC-Lambda-1: it rejects every order in the words of the real one.
REJECTS_ALL = """
import json, time
def handler(event, context):
    for message in event["Records"]:
        print(json.dumps({"level": "ERROR", "event": "refused", "messageId": message["messageId"],
                          "reason": "price is missing", "time": round(time.time() * 1000)}))
    return {"batchItemFailures": [{"itemIdentifier": one["messageId"]} for one in event["Records"]]}
"""


@pytest.fixture
def flowing(built, open_ws, monkeypatch):
    """Everything is built, and the dead-letter queue is empty."""
    # The embedded AWS is one server: nothing is overlooked, and an update is complete when its call returns.
    monkeypatch.setattr(dead_letters, "WAIT", 0)
    monkeypatch.setattr(discarding, "OLD_CODE_ENDS_WITHIN", 0)
    ws = open_ws(built.settings.prefix)
    listen_to_mail(ws)
    ws.client("sqs").purge_queue(QueueUrl=ws.find("queue", ORDERS)["QueueUrl"])
    yield ws
    # What a test changed is as before, whatever became of the test.
    for step in (ws.steps[3], ws.steps[7]):
        step.run(ws)


def edit_function(ws, source: str) -> None:
    """Change the code of POC-Lambda-1, as one does in the console."""
    lambda_, name = ws.client("lambda"), ws.name("POC-Lambda-1")
    lambda_.update_function_code(FunctionName=name, ZipFile=packed(source), Architectures=["arm64"])
    lambda_.get_waiter("function_updated_v2").wait(FunctionName=name)


def deploy(ws, description: str = "") -> None:
    """Show the API to the world as it is now."""
    api = ws.find("rest-api", "ecommerce-orders-api")["id"]
    stage = ws.settings.environment
    ws.client("apigateway").create_deployment(restApiId=api, stageName=stage, description=description)


def edit_model(ws, schema: str) -> None:
    """Change the API's model."""
    api = ws.find("rest-api", "ecommerce-orders-api")["id"]
    patch = [{"op": "replace", "path": "/schema", "value": schema}]
    ws.client("apigateway").update_model(restApiId=api, modelName="Order", patchOperations=patch)


def stays(ws, message: str, step: str) -> None:
    """Nothing is discarded, and the error names the step to run."""
    with pytest.raises(WorkshopError) as stopped:
        redrive(ws, discard=True)
    assert f"Run: workshop {step}{ws.settings.options}" in str(stopped.value)
    assert "\n" not in str(stopped.value)
    assert messages(ws, ORDERS) == 1
    # It can be seen again at once.
    assert [one["id"] for one in redrive(ws, dry_run=True)["messages"]] == [message]


def arrives(ws, message: str) -> None:
    """The order goes back and is stored, also where `--discard` is typed."""
    document = redrive(ws, discard=True)
    assert [one["id"] for one in document["sent"]] == [message], document
    assert document["discarded"] == []
    assert row(ws, message)


def test_an_order_that_an_edited_function_rejected_survives(flowing):
    edit_function(flowing, REJECTS_ALL)
    message = refused_by_the_function(flowing, json.dumps(ORDER))
    stays(flowing, message, "04_lambda_1")
    # The repaired function has not judged it yet: what the log says of it is the edited one's word.
    flowing.steps[3].run(flowing)
    arrives(flowing, message)


def test_what_was_rejected_within_a_minute_of_an_update_is_tried_once_more(flowing, monkeypatch):
    """The code from before the update may have rejected it: clocks differ, and invocations go on."""
    monkeypatch.setattr(discarding, "OLD_CODE_ENDS_WITHIN", 60)
    message = refused_by_the_function(flowing, NO_TEXT)
    document = redrive(flowing, discard=True)
    assert [one["id"] for one in document["discarded"]] == [message]
    # Not the log decides, but the API, which is asked again.
    assert "the API returned 400" in document["discarded"][0]["detail"]


@pytest.mark.parametrize("schema", [{"required": ["price"]}, {"properties": {"quantity": {"type": "string"}}}])
def test_an_order_that_an_edited_model_rejects_survives(flowing, schema):
    message = send(flowing, ORDERS, json.dumps(ORDER))
    edit_model(flowing, json.dumps(json.loads(flowing.source("src/api/order.schema.json")) | schema))
    deploy(flowing)
    stays(flowing, message, "08_api")
    # Without --discard it is refused, and stays.
    assert [one["id"] for one in redrive(flowing)["refused"]] == [message]
    flowing.steps[7].run(flowing)
    arrives(flowing, message)


def test_a_deployment_that_the_steps_did_not_make_proves_nothing(flowing):
    """The model is the workshop's own again, but what was deployed may be another one."""
    message = send(flowing, ORDERS, json.dumps(ORDER))
    deploy(flowing, "by hand")
    stays(flowing, message, "08_api")


def test_a_method_with_another_model_proves_nothing(flowing):
    message = send(flowing, ORDERS, json.dumps(ORDER))
    apigateway, api = flowing.client("apigateway"), flowing.find("rest-api", "ecommerce-orders-api")["id"]
    apigateway.create_model(
        restApiId=api, name="Other", contentType="application/json", schema=json.dumps({"required": ["price"]})
    )
    try:
        resources = apigateway.get_resources(restApiId=api, limit=500)["items"]
        place = next(one["id"] for one in resources if one["path"] == "/orders")
        apigateway.update_method(
            restApiId=api, resourceId=place, httpMethod="POST",
            patchOperations=[{"op": "replace", "path": "/requestModels/application~1json", "value": "Other"}],
        )  # fmt: skip
        stays(flowing, message, "08_api")
    finally:
        flowing.steps[7].run(flowing)
        apigateway.delete_model(restApiId=api, modelName="Other")


def test_what_the_function_rejected_for_good_is_discarded_by_its_word(flowing):
    message = refused_by_the_function(flowing, NO_TEXT)
    document = redrive(flowing, discard=True)
    assert [(one["id"], one["detail"]) for one in document["discarded"]] == [(message, "productId is not valid")]
    assert messages(flowing, ORDERS) == messages(flowing) == 0


def test_other_settings_of_the_function_do_not_stand_in_the_way(flowing):
    lambda_, name = flowing.client("lambda"), flowing.name("POC-Lambda-1")
    lambda_.update_function_configuration(FunctionName=name, MemorySize=512)
    lambda_.get_waiter("function_updated_v2").wait(FunctionName=name)
    send(flowing, ORDERS, json.dumps({"quantity": 1}))
    assert len(redrive(flowing, discard=True)["discarded"]) == 1
    assert messages(flowing, ORDERS) == 0
