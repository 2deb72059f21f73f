import { expect, test } from "vitest";
import { decode } from "./json.ts";
import { signature } from "./sign.ts";

test("numbers stay the text that was sent, and texts that look like numbers stay texts", () => {
  const sent = '{"id":9007199254740993,"px":100000.0,"rate":1e-05,"text":"a 1.5 \\" 2","list":[-1,true,null,"3"]}';
  expect(decode(sent)).toEqual({
    id: "9007199254740993", px: "100000.0", rate: "1e-05", text: 'a 1.5 " 2', list: ["-1", true, null, "3"],
  });
});

test.each([
  ["GET/realtime1800000000", "a8ffac10fe5730d7abd79b74e066d3f8bddcb03fc15ba2a8c75212cfbb9382a5"],
  ['DELETE/api/v1/order1800000000{"orderID":["a","b"]}', "a0a560590563c35bba5e9f8e956c2051d4b581cfcc947785889d1255b22988e6"],
])("%s is signed as BitMEX's clients sign it", async (message, wanted) => {
  expect(await signature("SECRET", message)).toBe(wanted);
});
