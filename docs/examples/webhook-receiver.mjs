// Receives webhooks: verifies each message and prints its type and id. Needs `npm install standardwebhooks`.
import { createServer } from "node:http";
import { Webhook } from "standardwebhooks";

const webhook = new Webhook(process.env.WEBHOOK_SECRET);

const server = createServer(async (request, response) => {
  try {
    const body = Buffer.concat(await request.toArray()); // the bytes that are signed
    const message = webhook.verify(body, request.headers);
    console.log(message.type, request.headers["webhook-id"]); // store it in your queue instead, once for each id
    response.writeHead(204).end();
  } catch {
    response.writeHead(400).end(); // not from the platform: ignore it
  }
});
server.listen(process.env.PORT ?? 9000, "127.0.0.1", () => console.log(`listening on http://127.0.0.1:${server.address().port}`));
